"""What boundaries do: cosines, covariance of the scores, and re-scoring of edited faces. Tensors in, tensors out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.editing.editor import Editor
from ifgan_pl.scores.score_samples import score_codes


def cosine_matrix(boundary: LinearBoundary) -> Tensor:
    """``NᵀN`` (m, m): cosines between the normals (section 4.3, table 2)."""
    return boundary.normals @ boundary.normals.T


def correlation(covariance: Tensor) -> Tensor:
    """(m, m) covariance -> correlation."""
    std = covariance.diagonal().clamp_min(1e-12).sqrt()
    return covariance / std[:, None] / std


@dataclass(frozen=True)
class Rescoring:
    """Edited faces, measured.

    Attributes:
        attributes: the m names, of rows (edited) and of columns (measured).
        strength: of the edits, in standard deviations of the score.
        single: (m, m) movement of the scores in standard deviations, mean over the faces of half the difference between
            the edits +strength and -strength, for edits that hold nothing.
        held: the same for edits that hold all the others.
    """

    attributes: tuple[str, ...]
    strength: float
    single: Tensor
    held: Tensor

    @staticmethod
    def precision(movement: Tensor) -> Tensor:
        """(m,) movement of the target per mean |movement| of the others."""
        others = movement.abs() - torch.diag(movement.diagonal().abs())
        return movement.diagonal() / (others.sum(1) / max(1, len(movement) - 1)).clamp_min(1e-6)


def rescore(
    editor: Editor,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    *,
    columns: list[int],
    truncation: float,
    resolution: int | None,
    strength: float = 1.0,
    progress: Callable[[int], None] = lambda done: None,
) -> Rescoring:
    """Edit along each attribute and measure all (section 4.4).

    Args:
        editor: generator and boundary.
        scorer: images -> (n, M).
        codes: (N, …) faces that took no part in the fit.
        columns: columns of the scorer that belong to the boundary's attributes, in their order.
        truncation, resolution: see :meth:`Editor.images`.
        strength: of the edits, in standard deviations.
        progress: told how many faces have been scored, after each edit.
    """
    boundary = editor.boundary
    space = "w+" if codes.ndim == 3 else boundary.space
    movements = {}
    for name, hold in (("single", ()), ("held", "all")):
        rows = []
        for attribute in boundary.attributes:
            ends = []
            for sign in (1, -1):
                edited = editor.shifted(codes, {attribute: sign * strength}, hold=hold)
                scores = score_codes(
                    editor.generator, scorer, edited, space=space, truncation=truncation, resolution=resolution
                )
                ends.append(scores[:, columns])
                progress(len(codes))
            rows.append((ends[0] - ends[1]).mean(0) / 2 / boundary.score_std.to(ends[0]))
        movements[name] = torch.stack(rows).cpu()
    return Rescoring(tuple(boundary.attributes), strength, **movements)
