"""Least squares with a penalty: its linear system, solved directly."""

from typing import Unpack

import torch
from torch import Tensor

from ifgan_pl.boundaries.solvers import losses
from ifgan_pl.boundaries.solvers.moments import chunks, moments
from ifgan_pl.boundaries.solvers.newton import minimise
from ifgan_pl.boundaries.solvers.solution import Options, Solution
from ifgan_pl.core.distributed import Reduce, alone


def ridge(codes: Tensor, targets: Tensor, *, l2: float | Tensor, **options: Unpack[Options]) -> Solution:
    """Least squares ``(z - t)²/2`` on real targets: codes (N, d), targets (N, m). Products in float64.

    The moments of the rows that have a target are those of all rows less those of the rows that have none, summed once
    for all attributes that lack the same ones; the normal equations then take a Cholesky factor each. Weighted rows, of
    which each attribute would need moments of its own, go through :func:`~.newton.minimise`.
    """
    if options.get("weights") is not None:
        options.setdefault("tolerance", 1e-9)
        return minimise(losses.SQUARED, codes, targets, l2=l2, precise=True, **options)
    reduce, device = options.get("reduce", alone), targets.device
    statistics = options.get("statistics") or moments(codes, device=device, reduce=reduce)
    penalties = torch.as_tensor(l2, dtype=torch.float64, device=device).expand(targets.shape[1])
    groups = _columns_of_equal_rows(targets.isfinite(), reduce)
    present = targets[:, [group[0] for group in groups]].isfinite()
    counts = reduce(present.sum(0, dtype=torch.float64))
    if not bool((counts > 0).all()):
        raise ValueError(f"targets of column {groups[int(counts.argmin())][0]} are all missing")
    from_missing = counts > statistics.count / 2  # the smaller part of the rows is summed
    products, target_sums, squares, grams = _sums(codes, targets, present ^ from_missing, statistics.mean, reduce)
    everything = statistics.count * statistics.covariance
    weights, biases = torch.empty_like(products), torch.empty_like(target_sums)
    objectives = torch.empty_like(target_sums)
    for g, columns in enumerate(groups):
        gram, total = grams[g, 1:], grams[g, 0]
        if from_missing[g]:
            gram, total = everything - gram, -total
        centre = total / counts[g]
        covariance = gram / counts[g] - centre.outer(centre)
        for j in columns:
            mean = target_sums[j] / counts[g]
            product = products[j] / counts[g] - centre * mean
            system = covariance.clone()
            system.diagonal().add_(penalties[j])
            weights[j] = torch.cholesky_solve(product[:, None], torch.linalg.cholesky(system))[:, 0]
            biases[j] = mean - weights[j] @ (centre + statistics.mean)
            variance = squares[j] / counts[g] - mean.square()
            objectives[j] = (variance - product @ weights[j]) / 2
    info = {"objective": objectives.tolist(), "converged": [True] * len(weights), "l2": penalties.tolist()}
    return Solution(weights, biases, {**info, "newton_steps": 0, "passes": 1})


def _columns_of_equal_rows(present: Tensor, reduce: Reduce) -> list[list[int]]:
    """Columns of (N, m) that mark the same rows on all ranks, as groups."""
    marks = present.double()
    both = reduce(marks.mT @ marks)
    groups: list[list[int]] = []
    for j in range(len(both)):
        equal = (g for g in groups if both[g[0], g[0]] == both[j, j] == both[g[0], j])
        group = next(equal, None)
        if group is None:
            groups.append([j])
        else:
            group.append(j)
    return groups


def _sums(
    codes: Tensor, targets: Tensor, chosen: Tensor, mean: Tensor, reduce: Reduce
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums over the rows, measured from the mean code, in float64.

    Args:
        chosen: (N, g) the rows of each Gram matrix.

    Returns:
        codes times targets (m, d), targets (m,), their squares (m,); for each column of ``chosen`` the sum of its codes
        and their Gram matrix (g, 1 + d, d).
    """
    models, dim = targets.shape[1], codes.shape[1]
    sums = torch.zeros(models, dim + 2, dtype=torch.float64, device=targets.device)
    grams = sums.new_zeros(chosen.shape[1], dim + 1, dim)
    for rows in chunks(codes):
        part = codes[rows].to(sums) - mean
        values = targets[rows].double().nan_to_num(nan=0.0)
        sums[:, :dim].addmm_(values.mT, part)
        sums[:, dim] += values.sum(0)
        sums[:, dim + 1] += values.square().sum(0)
        for g, mask in enumerate(chosen[rows].unbind(1)):
            mine = part[mask]
            grams[g, 0] += mine.sum(0)
            grams[g, 1:].addmm_(mine.mT, mine)
    sums, grams = reduce(sums), reduce(grams)
    return sums[:, :dim], sums[:, dim], sums[:, dim + 1], grams
