"""Losses of a linear boundary on its decision value, with the slope and curvature that a Newton step needs."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class Loss:
    """A convex loss of decision values ``z`` and targets ``t``, elementwise.

    Attributes:
        value: ``loss(z, t)``.
        slope: its first derivative in z.
        curvature: its second derivative in z, ≥ 0 (a generalised one at kinks).
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor], Tensor]


SQUARED = Loss(
    value=lambda z, t: (z - t).square() / 2,
    slope=lambda z, t: z - t,
    curvature=lambda z, t: z.new_ones(()).expand_as(z),
)
"""Real targets."""

LOGISTIC = Loss(
    value=lambda z, t: softplus(z) - t * z,
    slope=lambda z, t: z.sigmoid() - t,
    curvature=lambda z, t: z.sigmoid() * (-z).sigmoid(),
)
"""Targets are probabilities in [0, 1]."""

SQUARED_HINGE = Loss(
    value=lambda z, t: (1 - t * z).clamp_min(0).square(),
    slope=lambda z, t: -2 * t * (1 - t * z).clamp_min(0),
    curvature=lambda z, t: 2 * (t * z < 1).to(z.dtype),
)
"""Targets are -1 and +1."""


HINGE = Loss(
    value=lambda z, t: (1 - t * z).clamp_min(0),
    slope=lambda z, t: -t * (t * z < 1).to(z.dtype),
    curvature=lambda z, t: z.new_zeros(()).expand_as(z),
)
"""Targets are -1 and +1; the loss of the paper's support vector machine."""


def smoothed_hinge(width: float) -> Loss:
    """The hinge with a parabola of this width at its corner; targets are -1 and +1. At most width/2 below it."""

    def value(z: Tensor, t: Tensor) -> Tensor:
        gap = (1 - t * z).clamp_min(0)
        inside = gap.clamp_max(width)
        return inside.square() / (2 * width) + (gap - inside)

    return Loss(
        value=value,
        slope=lambda z, t: -t * ((1 - t * z) / width).clamp(0, 1),
        curvature=lambda z, t: ((t * z < 1) & (t * z > 1 - width)).to(z.dtype) / width,
    )


LOSSES = {"squared": SQUARED, "logistic": LOGISTIC, "squared_hinge": SQUARED_HINGE, "hinge": HINGE}
