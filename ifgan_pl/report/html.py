"""The report: one HTML file with its figures inside, and the same numbers as JSON."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ifgan_pl.core.files import write_json, write_text

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.7em}h2{margin-top:2em;border-bottom:1px solid #ddd}table{border-collapse:collapse;margin:1em 0}
td,th{padding:.25em .8em;border-bottom:1px solid #eee;text-align:right}td:first-child,th:first-child{text-align:left}
img{max-width:100%}.note{color:#666;font-size:.92em}"""


def embed(image: Figure | Image.Image) -> str:
    """A figure or image as an HTML image that needs no other file."""
    buffer = io.BytesIO()
    if isinstance(image, Figure):
        image.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        kind = "png"
    else:
        image.save(buffer, format="jpeg", quality=88)
        kind = "jpeg"
    return f'<img src="data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table; floats with three digits, ``None`` as a dash."""

    def cell(value: Any) -> str:
        if value is None:
            return "–"
        return f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))

    head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    body = "".join("<tr>" + "".join(f"<td>{cell(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def heat_maps(
    matrices: Mapping[str, Any], names: Sequence[str], *, limit: float | None = None, rows: str = "", columns: str = ""
) -> Figure:
    """Matrices (m, m) side by side, with their numbers, on one colour scale that ends at ``limit``."""
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
    """The distribution of each score, which the model takes for normal."""
    values = np.asarray(scores, dtype=float)
    figure = Figure(figsize=(2.6 * len(names), 2.4), layout="constrained")
    for axis, name, column in zip(figure.subplots(1, len(names), squeeze=False)[0], names, values.T, strict=True):
        axis.hist(column[np.isfinite(column)], bins=50, color="#4a7ab5")
        axis.set_title(name, fontsize=11)
        axis.set_yticks([])
    return figure


def write_report(
    folder: str | Path, *, title: str, sections: Sequence[tuple[str, str]], data: Mapping[str, Any]
) -> Path:
    """Write ``index.html`` and ``report.json``.

    Args:
        folder: made if missing.
        title: of the page.
        sections: (heading, HTML) pairs.
        data: JSON-able; the same numbers.

    Returns:
        the page.
    """
    body = "".join(f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in sections)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    page += f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    folder = Path(folder)
    write_text(folder / "index.html", page)
    write_json(folder / "report.json", data)  # last: its presence says that the report is whole
    return folder / "index.html"
