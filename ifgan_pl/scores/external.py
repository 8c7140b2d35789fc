"""Codes, labels and scores from elsewhere: InterFaceGAN's ``.npy`` files, safetensors, or a table."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors
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


def read_latents(path: str) -> Tensor:
    """Codes of a ``.npy`` (no pickles) or ``.safetensors`` file (key ``latents``, or its only tensor), float32.

    Raises:
        UserError: missing, unreadable, not two- or three-dimensional, or not finite.
    """
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    if path.endswith(".npy"):
        try:
            codes = torch.from_numpy(np.load(path, allow_pickle=False)).float()
        except (ValueError, OSError, TypeError) as error:
            raise UserError(f"{path} is not a readable .npy of numbers ({error})") from None
    else:
        tensors, _ = load_tensors(path)
        if "latents" not in tensors and len(tensors) != 1:
            raise UserError(f"{path} holds {', '.join(tensors)}: latents must be its only tensor, or be called latents")
        codes = tensors.get("latents", next(iter(tensors.values()))).float()
    if codes.ndim not in (2, 3) or len(codes) == 0:
        raise UserError(f"{path}: latents are (N, d) or (N, num_ws, d), got {tuple(codes.shape)}")
    if not bool(codes.isfinite().all()):
        bad = int((~codes.flatten(1).isfinite().all(dim=1)).sum())
        raise UserError(f"{path}: {bad} of {len(codes)} latents hold NaN or infinite values")
    return codes
