"""A folder of images with a table of labels: CSV or Parquet, any columns."""

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.labelled import SET_ASIDE, AttributeData, LabelTable, set_aside

log = logging.getLogger(__name__)
SPLIT_NAMES = {"train": "train", "val": "select", "valid": "select", "validation": "select", "test": "report"}


def read_columns(path: str | Path) -> dict[str, list[Any]]:
    """Columns of a CSV (first line: names; values as text) or Parquet file (needs ``pyarrow``).

    Raises:
        UserError: the file is missing, of another kind, empty or ragged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such table: {path}")
    if path.suffix.lower() == ".parquet":
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise UserError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow, or write a CSV") from None
        try:
            columns: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
        except ArrowException as error:
            raise UserError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None
        return columns
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: a .csv or .parquet table expected")
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = list(csv.reader(file))
    if len(lines) < 2:
        raise UserError(f"{path}: a line of column names and at least one row expected")
    names, rows = lines[0], [line for line in lines[1:] if line]
    ragged = [i for i, row in enumerate(rows, 2) if len(row) != len(names)]
    if ragged:
        raise UserError(f"{path}: {len(ragged)} rows have another number of fields than the {len(names)} of the header")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def number(value: Any) -> float:
    """A label as a number; NaN for a missing one (empty, None, nan). Raises ``ValueError`` for anything else."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "na", "none", "null")):
        return math.nan
    result = float(value)
    if math.isinf(result):
        raise ValueError(f"not a finite number: {value!r}")
    return result


def parse_labels(
    columns: Mapping[str, Sequence[Any]], attributes: Sequence[str], names: Sequence[str], origin: str | Path
) -> tuple[torch.Tensor, list[int]]:
    """Labels of the wanted attributes, and the rows that are whole; broken rows are counted, named and left out.

    Returns:
        (rows, m) float32 with NaN where a label is missing, of the whole rows only; their positions.

    Raises:
        UserError: an attribute has no column; both sides are listed.
    """
    absent = [a for a in attributes if a not in columns]
    if absent:
        raise UserError(f"{origin} has no column {', '.join(absent)}; its columns are {', '.join(columns)}")
    values: list[list[float]] = []
    whole: list[int] = []
    broken: list[str] = []
    for i, name in enumerate(names):
        try:
            values.append([number(columns[a][i]) for a in attributes])
            whole.append(i)
        except (TypeError, ValueError):
            broken.append(name)
    if broken:
        log.warning("%s: left out %d rows that are not numbers: %s", origin, len(broken), ", ".join(broken[:5]))
    return torch.tensor(values, dtype=torch.float32).reshape(len(whole), len(attributes)), whole


def infer_kinds(attributes: Sequence[str], targets: torch.Tensor) -> dict[str, str]:
    """``binary`` where every known label is 0 or 1, else ``continuous``."""
    binary = ((targets == 0) | (targets == 1) | targets.isnan()).all(0)
    return {a: "binary" if b else "continuous" for a, b in zip(attributes, binary.tolist(), strict=True)}


class TableData(AttributeData):
    """A folder of images with a table of labels.

    Args:
        images: folder to which the table's file names are relative.
        table: CSV or Parquet file: a column of file names, one a label (numbers; empty: missing), and optionally
            ``split`` with train, val (or valid) and test. Without test, val only reports, and one training row in
            twenty is set aside for selection; without ``split``, another one in twenty only reports.
        attributes: name -> ``binary`` or ``continuous``; ``None``: every other column, binary where all its labels
            are 0 or 1.
        file_column: name of the column of file names.
        loading: options of :class:`AttributeData`.
    """

    def __init__(
        self,
        images: str | Path,
        table: str | Path,
        *,
        attributes: dict[str, str] | None = None,
        file_column: str = "file",
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        self.images, self.path, self.chosen, self.file_column = Path(images), Path(table), attributes, file_column

    def read(self) -> LabelTable:
        """Labels of the whole rows of the table.

        Raises:
            UserError: the table or the folder is missing or malformed, or has no such column.
        """
        columns = read_columns(self.path)
        if self.file_column not in columns:
            raise UserError(f"{self.path} has no column {self.file_column}; its columns are {', '.join(columns)}")
        if not self.images.is_dir():
            raise UserError(f"no such folder: {self.images}")
        wanted = list(self.chosen or [c for c in columns if c not in (self.file_column, "split")])
        names = [str(name) for name in columns[self.file_column]]
        targets, whole = parse_labels(columns, wanted, names, self.path)
        given = [columns["split"][i] for i in whole] if "split" in columns else None
        return LabelTable(
            self.chosen or infer_kinds(wanted, targets),
            [str(self.images / names[i]) for i in whole],
            targets,
            parse_split(given, len(whole), self.path),
        )


def parse_split(values: Sequence[Any] | None, count: int, origin: str | Path) -> np.ndarray[Any, np.dtype[np.str_]]:
    """Splits of a table's rows, see :class:`TableData`.

    Raises:
        UserError: a value is none of the known names.
    """
    if values is None:
        split = np.full(count, "train", "<U6")
        split[::SET_ASIDE] = "report"
        return set_aside(split)
    unknown = sorted({str(v) for v in values} - set(SPLIT_NAMES))
    if unknown:
        raise UserError(f"{origin}: unknown split {', '.join(unknown)}; known are {', '.join(SPLIT_NAMES)}")
    split = np.array([SPLIT_NAMES[str(v)] for v in values], "<U6")
    if not (split == "report").any():
        split[split == "select"] = "report"
    return set_aside(split)
