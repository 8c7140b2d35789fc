"""The support vector machine of the paper: a working set of rows, each time solved by the interior-point method."""

from typing import Unpack

import torch
from torch import Tensor

from ifgan_pl.boundaries.solvers.interior_point import interior_point
from ifgan_pl.boundaries.solvers.newton import squared_hinge
from ifgan_pl.boundaries.solvers.solution import Options, Solution
from ifgan_pl.core.distributed import Reduce, alone


def hinge(
    codes: Tensor, targets: Tensor, *, l2: float | Tensor, gap: float = 5e-4, **options: Unpack[Options]
) -> Solution:
    """Support vector machine with ``max(0, 1 - tz)``, the paper's: codes (N, d), targets (N, m) of -1 and +1.

    Solved to a proven gap: until the dual objective shows the primal one to be within ``gap`` of the optimum, relative
    to it; ``info`` has ``gap``. The cost grows as N d² for each attribute: it is for the paper's selection of extremes;
    the other solvers serve all samples.
    """
    reduce = options.get("reduce", alone)
    options["tolerance"] = 1e-3  # of the guess
    guess = squared_hinge(codes, targets, l2=l2, **options)
    weights = options.get("weights")
    share = targets.isfinite().double()
    if weights is not None:
        share *= weights[:, None] if weights.ndim == 1 else weights
    share /= reduce(share.sum(0))
    points, primals, gaps, steps = [], [], [], 0
    for j, penalty in enumerate(guess.info["l2"]):
        rows = share[:, j] > 0
        homogeneous = torch.cat([codes[rows], codes.new_ones(int(rows.sum()), 1)], 1)
        start = torch.cat([guess.weights[j], guess.biases[j : j + 1]])
        point, primal, dual, taken = _with_working_set(
            homogeneous, targets[rows, j].double(), share[rows, j], penalty, start, gap=gap, reduce=reduce
        )
        points.append(point)
        primals.append(primal)
        gaps.append((primal - dual) / primal)
        steps += taken
    found = torch.stack(points)
    info = {"objective": primals, "gap": gaps, "converged": [g <= gap for g in gaps], "newton_steps": steps}
    return Solution(found[:, :-1], found[:, -1], {**info, "l2": guess.info["l2"]})


def _with_working_set(
    codes: Tensor, targets: Tensor, share: Tensor, l2: float, guess: Tensor, *, gap: float, reduce: Reduce
) -> tuple[Tensor, float, float, int]:
    """Minimise ``l2/2 |w|² + Σ shareᵢ max(0, 1 - tᵢ wᵀxᵢ)``; the last coordinate of w is the bias and not penalised.

    Few rows decide where classes separate: it solves for a working set, which grows by the rows that the solution
    puts at the margin or inside it, until the dual objective of the set bounds that of all rows.

    Args:
        codes: (N, d + 1) floating whose last column is 1; this rank's rows.
        targets: (N,) of -1 and +1, float64.
        share: (N,) float64 weights > 0 that sum to one over all ranks.
        l2: penalty > 0.
        guess: (d + 1,) float64, whose margins choose the first working set.
        gap: stop where primal and dual objective differ by at most this, relative to the primal.
        reduce: sums a tensor over ranks.

    Returns:
        w (d + 1,) float64, the primal objective, the dual one, which no w can undercut, and the number of steps.
    """

    def margins(point: Tensor) -> Tensor:
        return targets * (codes @ point.to(codes.dtype)).double()

    margin = margins(guess)
    counts = reduce(torch.stack([torch.ones_like(margin).sum(), (margin < 1).sum()]).double())
    wanted = max(4 * codes.shape[1], 1.5 * float(counts[1]))
    chosen = torch.ones_like(targets, dtype=torch.bool)
    if wanted < float(counts[0]) / 2:
        chosen = margin < _quantile(margin, wanted, reduce)
    steps = 0
    while True:
        part = codes[chosen].double(), targets[chosen], share[chosen]
        point, dual, taken = interior_point(*part, l2, gap=gap / 2, reduce=reduce)
        steps += taken
        margin = margins(point)
        loss = reduce((share * (1 - margin).clamp_min(0)).sum())
        primal = float(loss + l2 / 2 * point[:-1].square().sum())
        grown = chosen | (margin < 1.1)
        added = float(reduce((grown != chosen).sum().double()))
        if primal - dual <= gap * primal or added == 0:
            return point, primal, dual, steps
        chosen = grown


def _quantile(values: Tensor, rank: float, reduce: Reduce) -> float:
    """A number below which about ``rank`` values lie on all ranks together, by bisection on counts."""
    low, high = -1e6, 1e6
    for _ in range(60):
        middle = (low + high) / 2
        below = float(reduce((values < middle).sum().double()))
        low, high = (middle, high) if below < rank else (low, middle)
    return high
