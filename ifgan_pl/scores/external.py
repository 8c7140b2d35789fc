"""Codes, labels and scores from elsewhere: InterFaceGAN's ``.npy`` files, safetensors, or a table."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import open_tensors
from ifgan_pl.data.table import number, read_columns

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
    columns = read_columns(path)
    count_rows = len(next(iter(columns.values())))
    key = next((k for k in ROW_KEYS if k in columns), None)
    names = [name for name in columns if name not in (*ROW_KEYS, *OTHER_KEYS)]
    if not names:
        raise UserError(f"{path} has no attribute columns; its header is {', '.join(columns)}")
    if key is None and count_rows != count:
        raise UserError(f"{path} has {count_rows} rows for {count} codes: add a column named index")
    values = torch.full((count, len(names)), float("nan"))
    for row in range(count_rows):
        fields = {name: column[row] for name, column in columns.items()}
        try:
            index = row if key is None else int(Path(str(fields[key])).stem)
            if not 0 <= index < count:
                raise ValueError
            values[index] = torch.tensor([number(fields[name]) for name in names])
        except ValueError:
            raise UserError(
                f"{path}, row {row + 1}: numbers of a code from 0 to {count - 1} expected, got {fields}"
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


def read_latents(path: str, ranks: Ranks = ALONE) -> tuple[Tensor, int]:
    """Codes of a ``.npy`` (no pickles) or ``.safetensors`` file (key ``latents``, or its only tensor).

    Args:
        path: of the file, which is mapped: of several ranks each reads its own rows.
        ranks: that share the rows.

    Returns:
        this rank's run of rows, float32 (n, d) or (n, num_ws, d), and how many the file holds.

    Raises:
        UserError: missing, unreadable, not two- or three-dimensional, or not finite.
    """
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    whole: Any  # rows that are read when they are sliced
    if path.endswith(".npy"):
        try:
            whole = np.load(path, mmap_mode="r", allow_pickle=False)
            shape = list(whole.shape)
            share = ranks.share(shape[0] if shape else 0)
            codes = torch.from_numpy(np.array(whole[share.start : share.stop], dtype=np.float32))
        except (ValueError, OSError, TypeError) as error:
            raise UserError(f"{path} is not a readable .npy of numbers ({error})") from None
    else:
        with open_tensors(path) as file:
            names = file.keys()
            if "latents" not in names and len(names) != 1:
                listed = ", ".join(names)
                raise UserError(f"{path} holds {listed}: latents must be its only tensor, or be called latents")
            whole = file.get_slice("latents" if "latents" in names else names[0])
            shape = whole.get_shape()
            share = ranks.share(shape[0] if shape else 0)
            codes = whole[share.start : share.stop].float() if shape else torch.empty(())
    if len(shape) not in (2, 3) or shape[0] == 0:
        raise UserError(f"{path}: latents are (N, d) or (N, num_ws, d), got {tuple(shape)}")
    bad = int(ranks.sum((~codes.flatten(1).isfinite().all(dim=1)).sum()))
    if bad:
        raise UserError(f"{path}: {bad} of {shape[0]} latents hold NaN or infinite values")
    return codes, shape[0]


class ExternalScores:
    """Codes and scores from elsewhere, read as a :class:`~ifgan_pl.scores.store.ScoreStore` is.

    Args:
        latents: file of codes, see :func:`read_latents`.
        scores: file of scores or labels, see :func:`read_labels`.
        space, family: where the codes live; see :class:`~ifgan_pl.boundaries.boundary.LinearBoundary`.

    Attributes:
        inputs: ``attributes`` (m names), ``kinds`` (empty: they tell by their values), ``space``, ``family``,
            ``num_ws`` and ``truncation`` (``None``: unknown); the first and ``num_ws`` are known after :meth:`load`.
    """

    def __init__(self, latents: str, scores: str, *, space: str, family: str) -> None:
        self.latents, self.scores = latents, scores
        where = {"space": space, "family": family, "num_ws": 1, "truncation": None}
        self.inputs: dict[str, Any] = {"attributes": [], "kinds": [], **where}

    def load(self, ranks: Ranks = ALONE) -> tuple[Tensor, Tensor]:
        """Codes (n, d) or (n, num_ws, d) and scores (n, m), float32, of this rank's share of the rows."""
        codes, total = read_latents(self.latents, ranks)
        names, values = read_labels(self.scores, total)
        self.inputs |= {"attributes": names, "num_ws": codes.shape[1] if codes.ndim == 3 else 1}
        share = ranks.share(total)
        return codes, values[share.start : share.stop]
