"""The penalty of a fit by cross-validation, from sums over folds: no refit for any of its values."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ifgan_pl.boundaries.solvers.moments import Moments, chunks
from ifgan_pl.core.distributed import Reduce, alone

FOLDS = 5
GRID = tuple(10 ** (k / 4) for k in range(-16, 5))
"""Penalties that are tried, relative to the mean variance of a coordinate of the codes: 1e-4 … 10."""


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation found, for m attributes.

    Attributes:
        grid: (g,) penalties relative to ``Moments.scale``.
        errors: (g, m) squared error of held-out targets, relative to their variance.
        best: (m,) the penalty of the least error.
    """

    grid: Tensor
    errors: Tensor
    best: Tensor


def cross_validate(
    codes: Tensor, targets: Tensor, *, first_row: int = 0, reduce: Reduce = alone
) -> tuple[CrossValidation, Moments]:
    """Squared error of ridge regression on held-out folds, for every penalty of :data:`GRID`.

    Row i belongs to fold i mod 5. One pass sums each fold's Gram matrix in float64; the models of all penalties then
    come from one eigendecomposition a fold, and their errors are quadratic forms of the left-out fold's sums. Missing
    targets are taken to be missing at random: all attributes share the Gram matrix of all codes.

    Args:
        codes: (N, d) floating, this rank's rows.
        targets: (N, m) floating; NaN: missing.
        first_row: index of this rank's first row among those of all ranks.
        reduce: sums a tensor over ranks.

    Returns:
        the errors, and the moments of the codes over all ranks, which the same pass gives.
    """
    dim, models = codes.shape[1], targets.shape[1]
    # rows of a fold's sums: Gram matrix (d), codes (1), then by attribute: codes where present, codes times target
    sums = torch.zeros(FOLDS, dim + 1 + 2 * models, dim, dtype=torch.float64, device=targets.device)
    counts = sums.new_zeros(FOLDS, 1 + 3 * models)  # rows; then by attribute: present, target, squared target
    for rows in chunks(codes):
        part, values = codes[rows].to(targets.device, torch.float64), targets[rows].double()
        present = values.isfinite().double()
        values = values.nan_to_num(nan=0.0)
        left = torch.cat([part, torch.ones_like(part[:, :1]), present, values], 1)
        folds = (torch.arange(rows.start, rows.stop, device=targets.device) + first_row) % FOLDS
        for fold in range(FOLDS):
            mine = folds == fold
            sums[fold].addmm_(left[mine].mT, part[mine])
            counts[fold] += torch.cat([mine.sum()[None], *[t[mine].sum(0) for t in (present, values, values.square())]])
    sums, counts = reduce(sums), reduce(counts)

    def centred(kept: Tensor) -> tuple[Tensor, ...]:
        """Means and central second moments of the folds kept: codes, targets, and between them."""
        total, number = sums[kept].sum(0), counts[kept].sum(0)
        mean = total[dim] / number[0]
        present, target_sum, square_sum = number[1:].reshape(3, models)
        code_mean = total[dim + 1 : dim + 1 + models] / present[:, None]
        target_mean = target_sum / present
        products = total[dim + 1 + models :] / present[:, None] - target_mean[:, None] * code_mean
        covariance = total[:dim] / number[0] - mean.outer(mean)
        return mean, covariance, code_mean, target_mean, products, square_sum / present - target_mean.square()

    everything = torch.ones(FOLDS, dtype=torch.bool, device=sums.device)
    mean, covariance, *_, variance = centred(everything)
    statistics = Moments(float(counts[:, 0].sum()), mean, covariance)
    grid = sums.new_tensor(GRID)
    errors = sums.new_zeros(len(grid), models)
    for fold in range(FOLDS):
        kept = everything.clone()
        kept[fold] = False
        _, train, train_codes, train_targets, train_products, _ = centred(kept)
        _, test, test_codes, test_targets, test_products, test_variance = centred(~kept)
        values, vectors = torch.linalg.eigh(train)
        spread = values.clamp_min(0) + grid[:, None, None] * statistics.scale  # (g, 1, d)
        weights = (train_products @ vectors / spread) @ vectors.mT  # (g, m, d)
        shift = test_targets - train_targets - ((test_codes - train_codes) * weights).sum(2)
        quadratic = ((weights @ test) * weights).sum(2) - 2 * (weights * test_products).sum(2)
        share = counts[fold, 1 : 1 + models] / counts[:, 1 : 1 + models].sum(0)
        errors += share * (test_variance + quadratic + shift.square())
    errors = errors / variance
    return CrossValidation(grid, errors, grid[errors.argmin(0)]), statistics
