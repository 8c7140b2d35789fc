"""Newton's method with conjugate gradients, for m linear models on the same codes at once.

Codes stay where they are. What a step needs of them are sums over rows, accumulated in float64 and reduced over
ranks, so that any number of ranks finds the same models. All models share one preconditioner, the eigendecomposition
of the codes' covariance (the Hessian of model j is near to it times its mean curvature), so conjugate gradients
need few passes, and a pass serves all models: 40 cost little more than one.
"""

from typing import Unpack

import torch
from torch import Tensor

from ifgan_pl.boundaries.solvers import losses
from ifgan_pl.boundaries.solvers.losses import Loss
from ifgan_pl.boundaries.solvers.moments import Moments, chunks, moments
from ifgan_pl.boundaries.solvers.solution import Options, Solution
from ifgan_pl.core.distributed import Reduce, alone


def logistic(codes: Tensor, targets: Tensor, *, l2: float | Tensor, **options: Unpack[Options]) -> Solution:
    """Logistic regression on probabilities: codes (N, d), targets (N, m) in [0, 1]."""
    return minimise(losses.LOGISTIC, codes, targets, l2=l2, **options)


def squared_hinge(codes: Tensor, targets: Tensor, *, l2: float | Tensor, **options: Unpack[Options]) -> Solution:
    """Support vector machine with ``max(0, 1 - tz)²``: codes (N, d), targets (N, m) of -1 and +1."""
    return minimise(losses.SQUARED_HINGE, codes, targets, l2=l2, **options)


def minimise(
    loss: Loss,
    codes: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    l2: float | Tensor,
    statistics: Moments | None = None,
    start: tuple[Tensor, Tensor] | None = None,
    reduce: Reduce = alone,
    tolerance: float = 1e-6,
    max_steps: int = 50,
    precise: bool = False,
) -> Solution:
    """Minimise ``Σᵢ ωᵢⱼ loss(wⱼᵀxᵢ + bⱼ, tᵢⱼ) / Σᵢ ωᵢⱼ + l2ⱼ/2 |wⱼ|²`` for every column j of the targets.

    Args:
        codes: (N, d) floating, this rank's rows. They may lie elsewhere than the targets, on the CPU or in a mapped
            file: then they are brought to the targets' device in parts, on every pass.
        targets: (N, m) floating, on the device that computes; NaN: missing.
        weights: (N,) or (N, m), ≥ 0; ``None``: ones.
        l2: number or (m,).
        statistics: moments of the codes over all ranks; ``None``: computed here.
        start: weights (m, d) and biases (m,) to begin from; ``None``: zeros.
        tolerance: stop where the gradient's norm is at most this, relative to that at zero.
        max_steps: Newton steps at most.
        precise: products in float64 from the start, not only where the dtype of the codes does not suffice.

    Returns:
        the planes; ``info`` tells of the way.
    """
    if statistics is None:
        statistics = moments(codes, device=targets.device, reduce=reduce)
    problem = _RowSums(loss, codes, targets, weights, l2, statistics, reduce, precise)
    point = torch.zeros(targets.shape[1], codes.shape[1] + 1, dtype=torch.float64, device=targets.device)
    value, gradient = problem.evaluate(point)
    first = gradient.norm(dim=1)
    if start is not None:
        point = torch.cat([start[0], (start[1] + start[0] @ problem.mean)[:, None]], 1).to(point)
        value, gradient = problem.evaluate(point)
    relative = gradient.norm(dim=1) / first.clamp_min(1e-300)
    active = relative > tolerance
    steps = 0
    while bool(active.any()) and steps < max_steps:
        steps += 1
        step = problem.newton_step(gradient, active, forcing=relative.sqrt().clamp(max=0.1))
        descent = (gradient * step).sum(1)
        size = active.double()
        # the slack is the rounding of the sums: without it the last steps could not be accepted
        slack = 1e-7 * value.abs() + 1e-12
        for _ in range(30):  # backtracking; models whose step is accepted stay where they are
            new_value, new_gradient = problem.evaluate(point + size[:, None] * step)
            rejected = active & ~(new_value <= value + 1e-4 * size * descent + slack)
            if not bool(rejected.any()):
                break
            size = torch.where(rejected, size / 2, size)
        moved = active & ~rejected
        stalled = (value - new_value <= slack) & (new_gradient.norm(dim=1) > gradient.norm(dim=1) / 2)
        point = torch.where(moved[:, None], point + size[:, None] * step, point)
        value, gradient = torch.where(moved, new_value, value), torch.where(moved[:, None], new_gradient, gradient)
        relative = gradient.norm(dim=1) / first.clamp_min(1e-300)
        active = moved & ~stalled & (relative > tolerance)
        if not bool(active.any()) and bool((relative > tolerance).any()) and problem.dtype != torch.float64:
            problem.use_float64()  # what is left of the gradient is the rounding of the products
            value, gradient = problem.evaluate(point)
            relative = gradient.norm(dim=1) / first.clamp_min(1e-300)
            active = relative > tolerance
    directions, offsets = point[:, :-1], point[:, -1]
    info = {
        "objective": value.tolist(),
        "relative_gradient": relative.tolist(),
        "converged": (relative <= tolerance).tolist(),
        "newton_steps": steps,
        "passes": problem.passes,
        "l2": problem.l2.tolist(),
    }
    return Solution(directions, offsets - directions @ problem.mean, info)


class _RowSums:
    """Sums over the codes that Newton's method asks for; a point is (m, d + 1), its last column the bias at the mean.

    Measured from the mean code, bias and weights hardly interact, which the preconditioner relies on.
    """

    def __init__(
        self,
        loss: Loss,
        codes: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        l2: float | Tensor,
        statistics: Moments,
        reduce: Reduce,
        precise: bool,
    ) -> None:
        self.loss, self.codes, self.targets, self.statistics, self.reduce = loss, codes, targets, statistics, reduce
        self.weights = None if weights is None else (weights[:, None] if weights.ndim == 1 else weights)
        self.dtype = torch.float64 if precise else codes.dtype
        self.mean = statistics.mean
        self.l2 = torch.as_tensor(l2, dtype=torch.float64, device=targets.device).expand(targets.shape[1])
        self.curvatures = torch.empty(targets.shape, dtype=self.dtype, device=targets.device)
        self.passes = 0
        totals = self.mean.new_zeros(targets.shape[1])
        for rows in chunks(codes):
            totals += self._row_weights(rows).sum(0, dtype=torch.float64)
        self.totals = reduce(totals)
        if not bool((self.totals > 0).all()):
            raise ValueError(f"targets of column {int(self.totals.argmin())} are all missing or of weight zero")

    def _row_weights(self, rows: slice) -> Tensor:
        present = self.targets[rows].isfinite().to(self.dtype)
        return present if self.weights is None else present * self.weights[rows].to(self.dtype)

    def use_float64(self) -> None:
        self.dtype = torch.float64
        self.curvatures = self.curvatures.double()

    def evaluate(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Objective (m,) and gradient (m, d + 1); keeps the curvatures of all rows for :meth:`newton_step`."""
        directions, biases = self._raw(point)
        models, dim = self.targets.shape[1], self.codes.shape[1]
        sums = self.mean.new_zeros(models, dim + 3)  # gradient, slope, value, curvature
        for rows in chunks(self.codes):
            part = self.codes[rows].to(point.device, self.dtype)
            target = self.targets[rows].to(self.dtype).nan_to_num(nan=0.0)
            weight = self._row_weights(rows)
            decision = torch.addmm(biases, part, directions.mT)
            slope = weight * self.loss.slope(decision, target)
            curvature = weight * self.loss.curvature(decision, target)
            self.curvatures[rows] = curvature
            sums[:, :dim] += slope.mT @ part
            sums[:, dim] += slope.sum(0, dtype=torch.float64)
            sums[:, dim + 1] += (weight * self.loss.value(decision, target)).sum(0, dtype=torch.float64)
            sums[:, dim + 2] += curvature.sum(0, dtype=torch.float64)
        self.passes += 1
        sums = self.reduce(sums) / self.totals[:, None]
        self.mean_curvature = sums[:, dim + 2]
        value = sums[:, dim + 1] + self.l2 / 2 * point[:, :-1].square().sum(1)
        return value, self._centred(sums[:, :dim], sums[:, dim]) + self._penalty(point)

    def hessian_times(self, step: Tensor) -> Tensor:
        """Hessian at the last evaluated point times (m, d + 1)."""
        directions, biases = self._raw(step)
        sums = torch.zeros_like(step)
        for rows in chunks(self.codes):
            part = self.codes[rows].to(step.device, self.dtype)
            change = torch.addmm(biases, part, directions.mT) * self.curvatures[rows]
            sums[:, :-1] += change.mT @ part
            sums[:, -1] += change.sum(0, dtype=torch.float64)
        self.passes += 1
        sums = self.reduce(sums) / self.totals[:, None]
        return self._centred(sums[:, :-1], sums[:, -1]) + self._penalty(step)

    def newton_step(self, gradient: Tensor, active: Tensor, forcing: Tensor) -> Tensor:
        """Solve ``H step = -gradient`` for the active models: directly where few rows curve, else until the residual
        is ``forcing`` times the gradient."""
        curved = self.reduce((self.curvatures != 0).sum(0, dtype=torch.float64)) * active
        models, dim, count = int(active.sum()), self.codes.shape[1], self.statistics.count
        # where few rows curve, the preconditioner fits badly: then it takes some 60 passes, else some 4
        passes = 60 if float(curved.max()) < count / 2 else 4
        if float(curved.sum()) * dim < passes * count * max(models, 10):
            return self._direct_step(gradient, active)
        return self._conjugate_gradients(gradient, active, forcing)

    def _direct_step(self, gradient: Tensor, active: Tensor) -> Tensor:
        step = torch.zeros_like(gradient)
        for j in active.nonzero()[:, 0].tolist():
            rows = self.curvatures[:, j].nonzero()[:, 0]
            part = torch.cat(
                [self.codes[rows.to(self.codes.device)].to(self.mean) - self.mean, self.mean.new_ones(len(rows), 1)], 1
            )
            hessian = self.reduce(part.mT @ (part * self.curvatures[rows, j].double()[:, None])) / self.totals[j]
            hessian.diagonal()[:-1].add_(self.l2[j])
            hessian[-1, -1] += 1e-3 * self.l2[j] * self.statistics.scale  # the bias is free where no row curves
            step[j] = torch.linalg.solve(hessian, -gradient[j])
        return step

    def _conjugate_gradients(
        self, gradient: Tensor, active: Tensor, forcing: Tensor, max_iterations: int = 60
    ) -> Tensor:
        step = torch.zeros_like(gradient)
        residual = -gradient * active[:, None]
        stop = forcing * residual.norm(dim=1)
        conditioned = self._precondition(residual)
        direction, inner = conditioned, (residual * conditioned).sum(1)
        for _ in range(max_iterations):
            product = self.hessian_times(direction)
            curvature = (direction * product).sum(1)
            going = (residual.norm(dim=1) > stop) & (curvature > 0) & (inner > 0)
            length = torch.where(going, inner / curvature.clamp_min(1e-300), 0.0)[:, None]
            step = step + length * direction
            residual = residual - length * product
            if not bool((residual.norm(dim=1) > stop).logical_and(going).any()):
                break
            conditioned = self._precondition(residual)
            new_inner = (residual * conditioned).sum(1)
            direction = (
                conditioned + torch.where(inner > 0, new_inner / inner.clamp_min(1e-300), 0.0)[:, None] * direction
            )
            inner = new_inner
        return step

    def _precondition(self, residual: Tensor) -> Tensor:
        values, vectors = self.statistics.spectrum
        size = self.mean_curvature.clamp_min(1e-12)[:, None]
        spread = size * values + self.l2[:, None] + 1e-12 * size * values[-1]
        return torch.cat([(residual[:, :-1] @ vectors / spread) @ vectors.mT, residual[:, -1:] / size], 1)

    def _raw(self, point: Tensor) -> tuple[Tensor, Tensor]:
        directions, biases = point[:, :-1], point[:, -1]
        return directions.to(self.dtype), (biases - directions @ self.mean).to(self.dtype)

    def _centred(self, products: Tensor, slopes: Tensor) -> Tensor:
        return torch.cat([products - slopes[:, None] * self.mean, slopes[:, None]], 1)

    def _penalty(self, point: Tensor) -> Tensor:
        return torch.cat([self.l2[:, None] * point[:, :-1], torch.zeros_like(point[:, -1:])], 1)
