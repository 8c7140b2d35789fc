"""What is to be done to every face: the columns of a sheet, how they are called, and what each file says of itself."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Index = int | Mapping[str, Any]
"""Which face: the number of a sample, or a photograph and the number of a face in it, as provenance says it."""
EDIT_KEYS = ("hold", "unit", "mode", "metric", "layers")
"""Options of :meth:`ifgan_pl.editing.editor.Editor.shifted`."""


@dataclass(frozen=True)
class Column:
    """One column of a strip: an edit, and what it is called on the sheet and in file names."""

    label: str
    changes: Mapping[str, float]

    @property
    def slug(self) -> str:
        """Of file names: ``smile+2_age-1``, or ``original``."""
        text = "_".join(f"{name}{value:+g}" for name, value in self.changes.items()) or "original"
        return re.sub(r"[^\w+.-]", "-", text)


@dataclass(frozen=True)
class Subject:
    """A face to edit, as files and sheets call it.

    Attributes:
        index: which one it is; begins its rows of ``edits.csv``.
        name: how the names of its files begin, a path in the folder of the results.
        label: on sheets.
    """

    index: Index
    name: str
    label: str

    @property
    def keys(self) -> dict[str, Any]:
        """The first cells of its rows of ``edits.csv``, by their headings."""
        return {"index": self.index} if isinstance(self.index, int) else {k: self.index[k] for k in ("photo", "face")}


def sample(number: int) -> Subject:
    """A sample, or a row of a file of codes."""
    return Subject(number, f"{number:06d}", str(number))


@dataclass(frozen=True)
class EditPlan:
    """What is done to every face.

    Attributes:
        columns: the edits; one without changes is the original.
        title: of the sheets.
        hold, unit, mode, metric, layers: see :meth:`ifgan_pl.editing.editor.Editor.shifted`; the mode ``aim``: each
            face is shifted as far as it needs, see :class:`ifgan_pl.editing.aim.Aim`.
        truncation, resolution: see :meth:`ifgan_pl.editing.editor.Editor.images`.
        provenance: what every file says of where it comes from, beside the edit itself.
    """

    columns: Sequence[Column]
    title: str
    hold: Sequence[str] | str = ()
    unit: str = "std"
    mode: str = "shift"
    metric: str | None = None
    layers: Sequence[int] | None = None
    truncation: float = 0.7
    resolution: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of :meth:`ifgan_pl.editing.editor.Editor.shifted`."""
        return self._edit | ({"mode": "shift"} if self.mode == "aim" else {})

    @property
    def _edit(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in EDIT_KEYS}

    @property
    def original(self) -> int:
        """Which column is the unedited face."""
        return next(i for i, column in enumerate(self.columns) if not column.changes)

    @property
    def frames(self) -> list[int]:
        """The columns that an animation runs through: all, but for an original that is no step of the movement."""
        skip = self.original if self.mode == "to" and len(self.columns) > 2 else -1
        return [i for i in range(len(self.columns)) if i != skip]

    def describe(self, index: Index | Sequence[Index], edit: Any) -> dict[str, Any]:
        """The provenance of a file.

        Args:
            index: which face, or faces.
            edit: the changes, or one for each column.
        """
        views = {"truncation": self.truncation, "resolution": self.resolution}
        return {**self.provenance, **self._edit, **views, "index": index, "edit": edit}

    @property
    def edits(self) -> list[dict[str, float]]:
        """The changes of each column."""
        return [dict(column.changes) for column in self.columns]


def sweep(
    attribute: str, low: float, high: float, steps: int, *, unit: str = "std", mode: str = "shift"
) -> list[Column]:
    """Columns of one attribute over a range, with the original in its place (``to``: before the others)."""
    values = np.linspace(low, high, steps).round(6).tolist()
    original = Column("original", {})
    if mode == "to":
        return [original, *(Column(amount(v, unit, mode), {attribute: v}) for v in values)]
    values = sorted({*values, 0.0}, reverse=high < low)
    return [Column(amount(v, unit, mode), {attribute: v}) if v else original for v in values]


def amount(value: float, unit: str, mode: str) -> str:
    """How a strength is written on a sheet: ``+2 std``, or ``to +2 std``."""
    number = f"{value:+.3g}" if value else "0"
    return f"{'to ' if mode == 'to' else ''}{number}{' std' if unit == 'std' else ''}"
