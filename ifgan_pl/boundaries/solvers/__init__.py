"""How a boundary is fitted: one function each, one signature, exact and full-batch (see :mod:`.newton`).

Every solver minimises, for m attributes at once and each on its own,

    ``Σᵢ ωᵢⱼ loss(wⱼᵀxᵢ + bⱼ, tᵢⱼ) / Σᵢ ωᵢⱼ + l2ⱼ/2 |wⱼ|²``

over the rows whose target is not NaN, with the bias unpenalised. ``sklearn.svm.SVC``'s C is ``1 / (N l2)``. Keyword
arguments that all share, :class:`Options`:

- ``weights``: (N,) or (N, m) sample weights ≥ 0; default ones.
- ``l2``: penalty, a number or (m,).
- ``statistics``: :class:`~.newton.Moments` of the codes over all ranks, where they are known already.
- ``start``: weights (m, d) and biases (m,) to begin from; default zeros.
- ``reduce``: sums a float64 tensor over ranks; default: over the process group where there is one.
- ``tolerance``: the gradient's norm at which to stop, relative to that at zero.
- ``max_steps``: Newton steps at most.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from ifgan_pl.boundaries.solvers import losses
from ifgan_pl.boundaries.solvers.interior_point import solve_hinge
from ifgan_pl.boundaries.solvers.newton import Moments, minimise
from ifgan_pl.core.distributed import Reduce, sum_over_ranks


class Options(TypedDict, total=False):
    """Keyword arguments that all solvers share; the module says what they mean."""

    weights: Tensor | None
    statistics: Moments | None
    start: tuple[Tensor, Tensor] | None
    reduce: Reduce
    tolerance: float
    max_steps: int


@dataclass(frozen=True)
class Solution:
    """Hyperplanes ``wᵀx + b = 0`` and how they were found.

    Attributes:
        weights: (m, d) float64, not normalised.
        biases: (m,) float64.
        info: lists of m ``objective``, ``relative_gradient``, ``converged``, ``l2``; numbers ``newton_steps`` and
            ``passes`` over the codes.
    """

    weights: Tensor
    biases: Tensor
    info: dict[str, Any]


def ridge(codes: Tensor, targets: Tensor, *, l2: float | Tensor, **options: Unpack[Options]) -> Solution:
    """Least squares ``(z - t)²/2`` on real targets: codes (N, d), targets (N, m). Products in float64."""
    options = {"tolerance": 1e-9, **options}
    return Solution(*minimise(losses.SQUARED, codes, targets, l2=l2, precise=True, **options))


def logistic(codes: Tensor, targets: Tensor, *, l2: float | Tensor, **options: Unpack[Options]) -> Solution:
    """Logistic regression on probabilities: codes (N, d), targets (N, m) in [0, 1]."""
    return Solution(*minimise(losses.LOGISTIC, codes, targets, l2=l2, **options))


def squared_hinge(codes: Tensor, targets: Tensor, *, l2: float | Tensor, **options: Unpack[Options]) -> Solution:
    """Support vector machine with ``max(0, 1 - tz)²``: codes (N, d), targets (N, m) of -1 and +1."""
    return Solution(*minimise(losses.SQUARED_HINGE, codes, targets, l2=l2, **options))


def hinge(
    codes: Tensor, targets: Tensor, *, l2: float | Tensor, gap: float = 5e-4, **options: Unpack[Options]
) -> Solution:
    """Support vector machine with ``max(0, 1 - tz)``, the paper's: codes (N, d), targets (N, m) of -1 and +1.

    An interior-point method (:mod:`.interior_point`) on a working set of rows, which grows until the dual objective
    proves that of all rows to be within ``gap`` of the optimum, relative to it. Its cost grows as N d² for each
    attribute: it is for the paper's selection of extremes; the other solvers serve all samples. ``info`` has ``gap``.
    """
    reduce = options.get("reduce", sum_over_ranks)
    options["tolerance"] = 1e-3  # of the guess
    guess = squared_hinge(codes, targets, l2=l2, **options)
    weights = options.get("weights")
    share = targets.isfinite().double()
    if weights is not None:
        share *= weights.reshape(len(codes), -1)
    share /= reduce(share.sum(0))
    points, primals, gaps, steps = [], [], [], 0
    for j, penalty in enumerate(guess.info["l2"]):
        rows = share[:, j] > 0
        homogeneous = torch.cat([codes[rows], codes.new_ones(int(rows.sum()), 1)], 1)
        start = torch.cat([guess.weights[j], guess.biases[j : j + 1]])
        point, primal, dual, taken = solve_hinge(
            homogeneous, targets[rows, j].double(), share[rows, j], penalty, start, gap=gap, reduce=reduce
        )
        points.append(point)
        primals.append(primal)
        gaps.append((primal - dual) / primal)
        steps += taken
    found = torch.stack(points)
    info = {"objective": primals, "gap": gaps, "converged": [g <= gap for g in gaps], "newton_steps": steps}
    return Solution(found[:, :-1], found[:, -1], {**info, "l2": guess.info["l2"]})


SOLVERS: dict[str, Callable[..., Solution]] = {
    "ridge": ridge,
    "logistic": logistic,
    "squared_hinge": squared_hinge,
    "hinge": hinge,
}
