"""Losses of a linear boundary on its decision value, with the slope and curvature that a Newton step needs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class Loss:
    """A convex loss of decision values ``z`` and targets ``t``, elementwise.

    Attributes:
        value: ``loss(z, t)``.
        slope: its first derivative in z.
        curvature: its second derivative in z, ≥ 0 (a generalised one at kinks).
        steepest: the largest curvature; of the hinge, that of a parabola of the margin's width.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor], Tensor]
    steepest: float


SQUARED = Loss(
    value=lambda z, t: (z - t).square() / 2,
    slope=lambda z, t: z - t,
    curvature=lambda z, t: z.new_ones(()).expand_as(z),
    steepest=1.0,
)
"""Real targets."""

LOGISTIC = Loss(
    value=lambda z, t: softplus(z) - t * z,
    slope=lambda z, t: z.sigmoid() - t,
    curvature=lambda z, t: z.sigmoid() * (-z).sigmoid(),
    steepest=0.25,
)
"""Targets are probabilities in [0, 1]."""

SQUARED_HINGE = Loss(
    value=lambda z, t: (1 - t * z).clamp_min(0).square(),
    slope=lambda z, t: -2 * t * (1 - t * z).clamp_min(0),
    curvature=lambda z, t: 2 * (t * z < 1).to(z.dtype),
    steepest=2.0,
)
"""Targets are -1 and +1."""


HINGE = Loss(
    value=lambda z, t: (1 - t * z).clamp_min(0),
    slope=lambda z, t: -t * (t * z < 1).to(z.dtype),
    curvature=lambda z, t: z.new_zeros(()).expand_as(z),
    steepest=1.0,
)
"""Targets are -1 and +1; the loss of the paper's support vector machine."""


LOSSES = {"squared": SQUARED, "logistic": LOGISTIC, "squared_hinge": SQUARED_HINGE, "hinge": HINGE}


def masked_loss(name: str, decisions: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of a loss over the targets that are there, by attribute.

    Args:
        name: ``squared``, ``logistic``, ``squared_hinge`` or ``hinge``; each says above what its targets are.
        decisions: (N, m) decision values ``wᵀx + b``.
        targets: (N, m); NaN: missing.
        weights: (N,) or (N, m) sample weights ≥ 0; ``None``: ones.

    Returns:
        (m,); zero for an attribute of which no target is there.
    """
    if name not in LOSSES:
        raise ValueError(f"loss of {', '.join(LOSSES)} expected, got {name!r}")
    present = targets.isfinite()
    share = present.to(decisions.dtype)
    if weights is not None:
        share = share * (weights[:, None] if weights.ndim == 1 else weights).to(decisions.dtype)
    values: Tensor = LOSSES[name].value(decisions, torch.where(present, targets, 0).to(decisions.dtype))
    return (share * values).sum(0) / share.sum(0).clamp_min(1e-12)
