"""The primal-dual interior-point method for a support vector machine (Nocedal and Wright 2006, algorithm 16.4).

    ``min  l2/2 |w|² + Σᵢ ωᵢ ξᵢ   subject to   tᵢ (wᵀxᵢ + b) + ξᵢ - 1 = sᵢ,  sᵢ ≥ 0,  ξᵢ ≥ 0``

with multipliers αᵢ ≥ 0 of ``sᵢ ≥ 0`` and βᵢ ≥ 0 of ``ξᵢ ≥ 0``, both per unit of ωᵢ, so that αᵢ + βᵢ = 1. Mehrotra's
predictor and corrector (1992) take some 20 steps whether the classes separate or not; a step costs one weighted Gram
matrix of (d + 1)² and one Cholesky factor. Codes are seen only through sums over rows, which reduce over ranks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ifgan_pl.core.distributed import Reduce


def interior_point(
    codes: Tensor, targets: Tensor, share: Tensor, l2: float, *, gap: float, reduce: Reduce, max_steps: int = 60
) -> tuple[Tensor, float, int]:
    """The minimum on these rows.

    Args:
        codes: (N, d + 1) float64 whose last column is 1; this rank's rows.
        targets: (N,) of -1 and +1, float64.
        share: (N,) float64, the ω.
        l2: penalty > 0.
        gap: stop where primal and dual objective differ by at most this, relative to the primal.
        reduce: sums a tensor over ranks.

    Returns:
        (w, b) as (d + 1,) float64, the dual objective and the number of steps.
    """
    iterate = _Iterate(codes * targets[:, None], share, l2, reduce)
    steps = 0
    while steps < max_steps:
        primal, dual, feasible = iterate.factorise()
        if feasible and primal - dual <= gap * primal:
            break
        steps += 1
        affine = iterate.step(-iterate.alpha * iterate.slack, -iterate.beta * iterate.xi)
        reached = iterate.duality_measure_after(affine, iterate.longest(affine))
        # Mehrotra's σ = (μ_affine / μ)³: centre the less the further the predictor got, and correct its curvature
        target = reached**3 / iterate.duality_measure**2
        corrected = iterate.step(
            target - iterate.alpha * iterate.slack - affine.alpha * affine.slack,
            target - iterate.beta * iterate.xi + affine.alpha * affine.xi,
        )
        iterate.move(corrected, 0.995 * iterate.longest(corrected))
    return iterate.w, dual, steps


class _Step(NamedTuple):
    w: Tensor
    alpha: Tensor
    slack: Tensor
    xi: Tensor


class _Iterate:
    """Primal variables w, ξ and s, multipliers α and β = 1 - α, and the factor of the current Newton system.

    ``rows`` are ``tᵢ (xᵢ, 1)`` (N, d + 1).
    """

    def __init__(self, rows: Tensor, share: Tensor, l2: float, reduce: Reduce) -> None:
        self.rows, self.share, self.l2, self.reduce = rows, share, l2, reduce
        self.penalty = rows.new_full((rows.shape[1],), l2)
        self.penalty[-1] = 0
        self.w = torch.zeros_like(self.penalty)
        self.xi, self.slack = torch.ones_like(share), torch.ones_like(share)
        self.alpha = torch.full_like(share, 0.5)

    @property
    def beta(self) -> Tensor:
        return 1 - self.alpha

    def factorise(self) -> tuple[float, float, bool]:
        """Residuals and the factor of the Newton system here.

        Returns:
            the primal objective, the dual one, and whether α is feasible, so that the dual one is a bound.
        """
        margin = self.rows @ self.w
        pairs = self.alpha * self.slack + self.beta * self.xi
        sums = torch.stack([(1 - margin).clamp_min(0), self.alpha, pairs / 2]) @ self.share
        loss, alphas, self.duality_measure = self.reduce(sums).tolist()
        support = self.reduce(self.rows.mT @ (self.share * self.alpha))
        self.primal_residual = 1 - margin - self.xi + self.slack
        self.dual_residual = support - self.penalty * self.w
        self.scale = 1 / (self.xi / self.beta + self.slack / self.alpha)
        gram = self.reduce(self.rows.mT @ (self.rows * (self.share * self.scale)[:, None])) + self.penalty.diag()
        gram[-1, -1] += 1e-12 * gram.diagonal().max()
        self.factor = torch.linalg.cholesky(gram)
        primal = loss + float(self.penalty @ self.w.square()) / 2
        dual = alphas - float(support[:-1].square().sum()) / (2 * self.l2)
        return primal, dual, abs(float(support[-1])) < 1e-6

    def step(self, slack_pairs: Tensor, xi_pairs: Tensor) -> _Step:
        """The Newton step after which, to first order, the residuals vanish and α s and β ξ change by these (N,)."""
        residual = self.primal_residual - xi_pairs / self.beta + slack_pairs / self.alpha
        right = self.dual_residual + self.reduce(self.rows.mT @ (self.share * self.scale * residual))
        w = torch.cholesky_solve(right[:, None], self.factor)[:, 0]
        alpha = self.scale * (residual - self.rows @ w)
        slack, xi = (slack_pairs - self.slack * alpha) / self.alpha, (xi_pairs + self.xi * alpha) / self.beta
        return _Step(w, alpha, slack, xi)

    def longest(self, step: _Step) -> float:
        """The longest size in (0, 1] that keeps all variables of all ranks positive, rounded down to a power of 0.98.

        Rounding makes a minimum over ranks of a sum over ranks: each marks the sizes that are too long for its rows.
        """
        values = torch.cat([self.alpha, self.beta, self.slack, self.xi])
        changes = torch.cat([step.alpha, -step.alpha, step.slack, step.xi])
        limits = torch.where(changes < 0, -values / changes, torch.inf)
        sizes = 0.98 ** torch.arange(600, dtype=torch.float64, device=values.device)
        too_long = sizes > (limits.min() if len(limits) else torch.inf)
        return float(sizes[self.reduce(too_long.double()) == 0][0])

    def duality_measure_after(self, step: _Step, size: float) -> float:
        """The mean of α s and β ξ after a step."""
        pairs = (self.alpha + size * step.alpha) * (self.slack + size * step.slack)
        pairs = pairs + (self.beta - size * step.alpha) * (self.xi + size * step.xi)
        return float(self.reduce(self.share @ pairs / 2))

    def move(self, step: _Step, size: float) -> None:
        """Take a step of this size."""
        self.w, self.alpha = self.w + size * step.w, self.alpha + size * step.alpha
        self.slack, self.xi = self.slack + size * step.slack, self.xi + size * step.xi
