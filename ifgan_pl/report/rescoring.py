"""What edits do: faces are edited along each boundary and scored again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.editing.editor import Editor
from ifgan_pl.report.response import movements


@dataclass(frozen=True)
class Rescoring:
    """Scores of edited faces.

    Attributes:
        attributes: the m names, of rows (edited) and of columns (measured).
        strength: of the edits, in standard deviations of the score.
        faces: how many were edited.
        single: (m, m) movement of the scores in standard deviations, mean over the faces of half the difference between
            the edits +strength and -strength, for edits that hold nothing.
        held: (m, m) the same for edits that hold all the others.
    """

    attributes: tuple[str, ...]
    strength: float
    faces: int
    single: Tensor
    held: Tensor

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able figures, with the precision of each row."""
        figures: dict[str, Any] = {"faces": self.faces, "strength": self.strength}
        for name, movement in (("single", self.single), ("hold_all", self.held)):
            figures[name] = {"movement": movement.tolist(), "precision": precision(movement).tolist()}
        return figures


def precision(movement: Tensor) -> Tensor:
    """Movement of the edited attribute per mean |movement| of the others: (m, m) -> (m,); large is good."""
    others = movement.abs() - torch.diag(movement.diagonal().abs())
    return movement.diagonal() / (others.sum(1) / max(1, len(movement) - 1)).clamp_min(1e-6)


def rescore(
    editor: Editor,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    *,
    columns: Sequence[int],
    truncation: float,
    resolution: int | None,
    strength: float = 1.0,
    progress: Callable[[int], None] = lambda done: None,
) -> Rescoring:
    """Edit along each attribute and measure all (section 4.4).

    Args:
        codes: faces that took no part in the fit.
        columns: the scorer's columns of the m attributes of the boundary, in their order.
        editor, scorer, truncation, resolution, strength: see :func:`ifgan_pl.report.response.movements`.
        progress: called after each edit of all faces with their number; 4 m times.
    """
    boundary = editor.boundary
    options: dict[str, Any] = {"truncation": truncation, "resolution": resolution, "strength": strength}
    options |= {"columns": dict(zip(boundary.attributes, columns, strict=True)), "progress": progress}
    single, held = (movements(editor, scorer, codes, hold=hold, **options) for hold in ((), "all"))
    return Rescoring(boundary.attributes, strength, len(codes), single=single, held=held)
