"""The report's figures, as images that lie inside the page."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ifgan_pl.editing.editor import Editor
from ifgan_pl.images.sheets import draw_strip
from ifgan_pl.images.write import to_uint8

STRIP_STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)
"""Columns of a strip, in standard deviations of the score."""


def embed(image: Figure | Image.Image) -> str:
    """A figure (as PNG) or an image (as JPEG) as an HTML element that needs no other file."""
    buffer = io.BytesIO()
    if isinstance(image, Figure):
        image.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        kind = "png"
    else:
        image.save(buffer, format="jpeg", quality=88)
        kind = "jpeg"
    return f'<img src="data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def heat_maps(
    matrices: Mapping[str, Any], names: Sequence[str], *, limit: float | None = None, rows: str = "", columns: str = ""
) -> Figure:
    """Matrices side by side, with their numbers, on one scale of colours.

    Args:
        matrices: title -> (m, m).
        names: m labels of rows and columns.
        limit: where the scale of colours ends, on either side of 0; ``None``: at the largest absolute value.
        rows, columns: what they are.
    """
    arrays = {title: np.asarray(matrix, dtype=float) for title, matrix in matrices.items()}
    end = limit or max(float(np.abs(a).max()) for a in arrays.values()) or 1.0
    figure = Figure(figsize=(4.6 * len(arrays), 4.4), layout="constrained")
    axes = figure.subplots(1, len(arrays), squeeze=False)[0]
    for axis, (title, array) in zip(axes, arrays.items(), strict=True):
        axis.imshow(array, cmap="RdBu_r", vmin=-end, vmax=end)
        axis.set_title(title, fontsize=11)
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axis.set_yticks(range(len(names)), names)
        axis.set_ylabel(rows)
        axis.set_xlabel(columns)
        for (i, j), value in np.ndenumerate(array):
            colour = "white" if abs(value) > 0.6 * end else "black"
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour)
    return figure


def histograms(scores: Any, names: Sequence[str]) -> Figure:
    """The distribution of each score, which the linear model takes for normal: (N, m), NaN left out."""
    values = np.asarray(scores, dtype=float)
    figure = Figure(figsize=(2.6 * len(names), 2.4), layout="constrained")
    for axis, name, column in zip(figure.subplots(1, len(names), squeeze=False)[0], names, values.T, strict=True):
        axis.hist(column[np.isfinite(column)], bins=50, color="#4a7ab5")
        axis.set_title(name, fontsize=11)
        axis.set_yticks([])
    return figure


def strips(
    editor: Editor, codes: Tensor, numbers: Sequence[int], *, truncation: float, resolution: int | None
) -> list[Image.Image]:
    """A labelled strip for each attribute, all others held.

    Args:
        editor: generator and boundary.
        codes: (N, …) a row of each strip each.
        numbers: N sample indices, the labels of the rows.
        truncation, resolution: see :meth:`ifgan_pl.editing.editor.Editor.images`.
    """
    sheets = []
    for name in editor.attributes:
        rows: list[list[Image.Image]] = [[] for _ in codes]
        for step in STRIP_STEPS:
            edited = editor.shifted(codes, {name: step}, hold="all")
            pixels = to_uint8(editor.images(edited, truncation=truncation, resolution=resolution))
            for row, image in zip(rows, pixels, strict=True):
                row.append(Image.fromarray(image))
        sheets.append(
            draw_strip(
                rows,
                title=f"{name}, hold all",
                row_labels=[str(number) for number in numbers],
                column_labels=[f"{s:+g} std" if s else "original" for s in STRIP_STEPS],
                side=160,
            )
        )
    return sheets
