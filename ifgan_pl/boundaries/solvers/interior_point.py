"""The support vector machine of the paper, solved to a proven gap by an interior-point method.

    ``min  l2/2 |w|² + Σᵢ ωᵢ ξᵢ / Σᵢ ωᵢ   subject to   tᵢ (wᵀxᵢ + b) ≥ 1 - ξᵢ,  ξᵢ ≥ 0``

The predictor-corrector of Mehrotra (1992) takes some 20 steps whether the classes separate or not; a step costs one
weighted Gram matrix of (d + 1)² and one Cholesky factor. It sees the codes only through sums over rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ifgan_pl.core.distributed import Reduce


def solve_hinge(
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
        point, lower, taken = _interior_point(*part, l2, gap=gap / 2, reduce=reduce)
        steps += taken
        margin = margins(point)
        loss = reduce((share * (1 - margin).clamp_min(0)).sum())
        primal = float(loss + l2 / 2 * point[:-1].square().sum())
        grown = chosen | (margin < 1.1)
        added = float(reduce((grown != chosen).sum().double()))
        if primal - lower <= gap * primal or added == 0:
            return point, primal, lower, steps
        chosen = grown


def _quantile(values: Tensor, rank: float, reduce: Reduce) -> float:
    """A number below which about ``rank`` values lie on all ranks together, by bisection on counts."""
    low, high = -1e6, 1e6
    for _ in range(60):
        middle = (low + high) / 2
        below = float(reduce((values < middle).sum().double()))
        low, high = (middle, high) if below < rank else (low, middle)
    return high


def _interior_point(
    codes: Tensor, targets: Tensor, share: Tensor, l2: float, *, gap: float, reduce: Reduce, max_steps: int = 60
) -> tuple[Tensor, float, int]:
    """The minimum on these rows alone: w, the dual objective and the number of steps."""
    state = _State(codes * targets[:, None], share, l2, reduce)
    steps = 0
    while steps < max_steps:
        primal, lower, feasible = state.prepare()
        if feasible and primal - lower <= gap * primal:
            break
        steps += 1
        predicted = state.direction(-state.dual * state.slack, -state.other * state.excess)
        reached = state.after(predicted, state.longest(predicted))
        # Mehrotra's rule: aim the closer to the boundary the further the predictor got, and correct its curvature
        aim = reached**3 / state.complementarity**2
        corrected = state.direction(
            aim - state.dual * state.slack - predicted.dual * predicted.slack,
            aim - state.other * state.excess + predicted.dual * predicted.excess,
        )
        state.move(corrected, 0.995 * state.longest(corrected))
    return state.point, lower, steps


class _Step(NamedTuple):
    point: Tensor
    dual: Tensor
    slack: Tensor
    excess: Tensor


class _State:
    """Primal and dual variables of the rows ``tᵢ xᵢ`` (N, d + 1), and the factor of the current Newton system.

    ``excess`` is ξ ≥ 0 and ``other`` its multiplier; ``slack`` is tz - 1 + ξ ≥ 0 and ``dual`` its multiplier;
    dual + other = 1.
    """

    def __init__(self, rows: Tensor, share: Tensor, l2: float, reduce: Reduce) -> None:
        self.rows, self.share, self.l2, self.reduce = rows, share, l2, reduce
        self.penalty = rows.new_full((rows.shape[1],), l2)
        self.penalty[-1] = 0
        self.point = torch.zeros_like(self.penalty)
        self.excess, self.slack = torch.ones_like(share), torch.ones_like(share)
        self.dual = torch.full_like(share, 0.5)

    @property
    def other(self) -> Tensor:
        return 1 - self.dual

    def prepare(self) -> tuple[float, float, bool]:
        """Residuals and Newton system here; returns the primal and dual objective and whether the latter holds."""
        margin = self.rows @ self.point
        pairs = self.dual * self.slack + self.other * self.excess
        sums = torch.stack([(1 - margin).clamp_min(0), self.dual, pairs / 2]) @ self.share
        loss, duals, complementarity = self.reduce(sums).tolist()
        support = self.reduce(self.rows.mT @ (self.share * self.dual))
        self.complementarity = complementarity
        self.missing = 1 - margin - self.excess + self.slack
        self.imbalance = support - self.penalty * self.point
        self.spread = 1 / (self.excess / self.other + self.slack / self.dual)
        gram = self.reduce(self.rows.mT @ (self.rows * (self.share * self.spread)[:, None])) + self.penalty.diag()
        gram[-1, -1] += 1e-12 * gram.diagonal().max()
        self.factor = torch.linalg.cholesky(gram)
        primal = loss + float(self.penalty @ self.point.square()) / 2
        lower = duals - float(support[:-1].square().sum()) / (2 * self.l2)
        return primal, lower, abs(float(support[-1])) < 1e-6

    def direction(self, aim_slack: Tensor, aim_excess: Tensor) -> _Step:
        """The Newton step after which, to first order, dual · slack and other · excess change by the aims."""
        wanted = self.missing - aim_excess / self.other + aim_slack / self.dual
        right = self.imbalance + self.reduce(self.rows.mT @ (self.share * self.spread * wanted))
        point = torch.cholesky_solve(right[:, None], self.factor)[:, 0]
        dual = self.spread * (wanted - self.rows @ point)
        slack, excess = (aim_slack - self.slack * dual) / self.dual, (aim_excess + self.excess * dual) / self.other
        return _Step(point, dual, slack, excess)

    def longest(self, step: _Step) -> float:
        """The longest size in (0, 1] that keeps all variables of all ranks positive, rounded down to a power of 0.98.

        Rounding makes a minimum over ranks of a sum over ranks: each marks the sizes that are too long for its rows.
        """
        values = torch.cat([self.dual, self.other, self.slack, self.excess])
        changes = torch.cat([step.dual, -step.dual, step.slack, step.excess])
        limits = torch.where(changes < 0, -values / changes, torch.inf)
        sizes = 0.98 ** torch.arange(600, dtype=torch.float64, device=values.device)
        too_long = sizes > (limits.min() if len(limits) else torch.inf)
        return float(sizes[self.reduce(too_long.double()) == 0][0])

    def after(self, step: _Step, size: float) -> float:
        """The mean complementarity after a step."""
        pairs = (self.dual + size * step.dual) * (self.slack + size * step.slack)
        pairs = pairs + (self.other - size * step.dual) * (self.excess + size * step.excess)
        return float(self.reduce(self.share @ pairs / 2))

    def move(self, step: _Step, size: float) -> None:
        self.point, self.dual = self.point + size * step.point, self.dual + size * step.dual
        self.slack, self.excess = self.slack + size * step.slack, self.excess + size * step.excess
