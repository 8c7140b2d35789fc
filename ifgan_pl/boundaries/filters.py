"""What an edit reads changes of attributes from: gradients where they are known, else normals; and in which units."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError

if TYPE_CHECKING:
    from ifgan_pl.boundaries.boundary import LinearBoundary

IMAGE = "image"
"""Metric of the least change of images, of a boundary that holds the gradients of its scores."""


def by_image(boundary: "LinearBoundary", chosen: Sequence[int], metric: str | None) -> bool:
    """Whether an edit of attributes (rows of the boundary) follows gradients, in the metric ``image``.

    Raises:
        UserError: the metric is asked for, and the gradient of one of them is unknown.
    """
    if metric not in (None, IMAGE):
        return False
    gradients = boundary.gradients
    unknown = [i for i in chosen if gradients is None or not bool(gradients[i].isfinite().all())]
    if metric == IMAGE and unknown:
        raise UserError(
            f"this boundary holds no gradient of {boundary.attributes[unknown[0]]}, which metric image needs: "
            "train.py gradients measures it"
        )
    return not unknown


def in_units(
    boundary: "LinearBoundary", changes: Tensor, chosen: Sequence[int], unit: str, metric: str | None
) -> Tensor:
    """Changes (k,) of attributes in the units of :func:`filters`: ``std`` in the metric ``image``, else latent.

    Raises:
        UserError: an unknown unit, or one that needs statistics which the boundary lacks.
    """
    if unit not in ("std", "latent"):
        raise UserError(f"unknown unit {unit!r}; known: std, latent")
    along_gradients = by_image(boundary, chosen, metric)
    if along_gradients == (unit == "std"):
        return changes
    sizes = (boundary.score_std / boundary.lambdas)[list(chosen)].double()
    unknown = [boundary.attributes[i] for i, size in zip(chosen, sizes, strict=True) if not size.isfinite()]
    if unknown:
        raise UserError(
            f"this boundary holds no score statistics of {unknown[0]}; give changes in latent units (unit latent)"
        )
    return changes / sizes if along_gradients else changes * sizes


def filters(boundary: "LinearBoundary", chosen: Sequence[int], metric: str | None) -> tuple[Tensor, Tensor]:
    """What changes of attributes are read from, and the same times the metric: twice (k, D) float64.

    The product with a shift of the code is the change: in standard deviations for gradients (metric ``image``),
    where D = rows · w_dim, and in latent units for normals.
    """
    rows = list(chosen)
    if by_image(boundary, rows, metric):
        assert boundary.gradients is not None
        assert boundary.spread is not None
        std = boundary.score_std[rows].double()[:, None]
        return boundary.gradients[rows].flatten(1).double() / std, boundary.spread[rows].flatten(1).double() / std
    normals = boundary.normals.detach()[rows].double()
    normals = normals / normals.norm(dim=1, keepdim=True)
    matrix = boundary.metric_matrix(metric)
    return normals, normals if matrix is None else normals @ matrix.double()


def steps_for(boundary: "LinearBoundary", changes: Tensor, chosen: Sequence[int]) -> Tensor:
    """Steps (k,) along gradients by which the chosen attributes move as asked, as far as the response tells.

    It was measured with the core held. What attributes outside the core move of each other is another thing once these
    are held too, and is not taken back; where such a score saturates, its step is not made longer.

    Args:
        changes: (k,) of the edited and held attributes ``chosen``, in standard deviations.
    """
    if boundary.response is None:
        return changes
    moved = boundary.response[list(chosen)][:, list(chosen)].to(changes)
    core = torch.tensor([boundary.attributes[i] in boundary.core for i in chosen], device=changes.device)
    moved = torch.where(core, moved, moved.diagonal().clamp_min(1).diag())
    steps: Tensor = torch.linalg.solve(moved.mT, changes)
    return steps


def predicted_changes(boundary: "LinearBoundary", changes: Tensor, chosen: Sequence[int]) -> dict[str, float]:
    """What an edit by gradients moves, by the response, of each attribute whose gradient is known.

    Args:
        changes: (k,) of the edited and held attributes ``chosen``, in standard deviations.

    Returns:
        name -> standard deviations; of the chosen what was asked.
    """
    known = [i for i in range(len(boundary.attributes)) if by_image(boundary, [i], None)]
    response = torch.eye(len(boundary.attributes)) if boundary.response is None else boundary.response
    moved = steps_for(boundary, changes.double(), chosen) @ response[list(chosen)].to(changes.device).double()
    asked = dict(zip(chosen, changes.tolist(), strict=True))
    return {boundary.attributes[i]: asked.get(i, float(moved[i])) for i in known}
