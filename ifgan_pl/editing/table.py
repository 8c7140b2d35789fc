"""What ``edits.csv`` and the captions of sheets say of each edited image: its edit, scores and notes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ifgan_pl.core.attributes import canonical
from ifgan_pl.editing.plan import EditPlan, Subject

Scores = Sequence[Sequence[float]] | None
"""Of each column the scores of a face, where there is a scorer."""
Notes = Sequence[Mapping[str, Any]] | None
"""Of each column what else there is to say of a face, by heading."""


def table_row(
    face: Subject, plan: EditPlan, column: int, file: str, attributes: Sequence[str], scores: Scores, notes: Notes
) -> dict[str, Any]:
    """A line of ``edits.csv``, by its headings.

    Args:
        face, plan, column: whose image it is, and under which edit.
        file: name of the image.
        attributes: of the scores.
        scores, notes: of the face.
    """
    edit = plan.columns[column]
    row = {**face.keys, "column": edit.label, "edit": json.dumps(dict(edit.changes)), "file": file}
    if scores is not None and attributes:
        for when, which in (("before", plan.original), ("after", column)):
            row |= {f"{when}_{a}": f"{s:.4f}" for a, s in zip(attributes, scores[which], strict=True)}
    return row | dict(notes[column] if notes is not None else {})


def captions(plan: EditPlan, attributes: Sequence[str], scores: Scores, notes: Notes) -> list[str] | None:
    """What a sheet says below the images of a face in a photograph: ``identity`` of the notes, and the score of the
    first edited attribute; ``None`` for other faces."""
    if notes is None or "identity" not in notes[0]:
        return None
    edited = {canonical(name) for column in plan.columns for name in column.changes}
    shown = [i for i, name in enumerate(attributes) if canonical(name) in edited][: 1 if scores else 0]
    return [
        ", ".join([f"identity {note['identity']}", *(f"{attributes[i]} {scores[k][i]:+.1f}" for i in shown if scores)])
        for k, note in enumerate(notes)
    ]
