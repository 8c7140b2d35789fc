"""Labels and scores from elsewhere: InterFaceGAN's ``<attribute>_scores.npy``, or a CSV."""

import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.errors import UserError

ROW_KEYS = ("index", "file")
"""A column of this name says which code a row belongs to: a number, or a file name whose stem is one."""
OTHER_KEYS = ("split", "truncation")


def read_labels(path: str | Path, count: int) -> tuple[list[str], Tensor]:
    """Names of the attributes, and their values for each of ``count`` codes; NaN where there is none.

    Args:
        path: ``smile_scores.npy``, (count, 1) or (count,); or a CSV whose header names attributes, with ``index`` (or
            ``file``) for rows in another order or for some codes only, and empty fields for missing labels.
        count: number of codes.

    Returns:
        m names, and (count, m) float32.

    Raises:
        UserError: a missing or unreadable file, or counts that do not match.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such file: {path}")
    if path.suffix == ".npy":
        return _read_npy(path, count)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        raise UserError(f"{path} has no rows: a header and one row a code are expected")
    header = [name.strip() for name in rows[0]]
    key = next((k for k in ROW_KEYS if k in header), None)
    names = [name for name in header if name not in (*ROW_KEYS, *OTHER_KEYS)]
    if not names:
        raise UserError(f"{path} has no attribute columns; its header is {', '.join(header)}")
    if key is None and len(rows) - 1 != count:
        raise UserError(
            f"{path} has {len(rows) - 1} rows for {count} codes: add a column index, or give one row a code"
        )
    values = torch.full((count, len(names)), float("nan"))
    for line, row in enumerate(rows[1:], start=2):
        try:
            fields = dict(zip(header, row, strict=True))
            index = line - 2 if key is None else int(Path(fields[key]).stem)
            values[index] = torch.tensor([float(fields[n]) if fields[n].strip() else float("nan") for n in names])
            if index < 0:
                raise IndexError
        except (ValueError, IndexError):
            raise UserError(
                f"{path}, line {line}: numbers of a code from 0 to {count - 1} expected, got {row}"
            ) from None
    return names, values


def _read_npy(path: Path, count: int) -> tuple[list[str], Tensor]:
    try:
        values = torch.from_numpy(np.load(path, allow_pickle=False)).float()
    except (ValueError, OSError, TypeError) as error:
        raise UserError(f"{path} is not a readable .npy of numbers ({error})") from None
    if values.numel() != count:
        raise UserError(f"{path} holds {values.numel()} scores for {count} codes")
    return [path.stem.removesuffix("_scores")], values.reshape(count, 1)
