"""The report's tables, as HTML."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.report.rescoring import Rescoring, precision

SCORER_COLUMNS = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "ap": "average precision",
    "f1": "F1",
    "ece": "calibration error",
    "mae": "mean absolute error",
    "r": "r",
}
"""Metrics of the scorer's training, and how the page calls them."""
FIT_COLUMNS = {
    "accuracy_validation": "accuracy, validation",
    "accuracy_midpoint": "remaining, midpoint",
    "accuracy_median": "remaining, median",
    "r2": "linearity R²",
    "train": "fitted on",
    "validation": "validated on",
}
"""Figures of a fit (:meth:`ifgan_pl.boundaries.targets.Column.statistics`), and how the page calls them."""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table; floats with three digits, integers in thousands, ``None`` as a dash, anything else as text."""

    def cell(value: Any) -> str:
        if value is None:
            return "–"
        if isinstance(value, int):
            return f"{value:,}"
        return f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))

    head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    body = "".join("<tr>" + "".join(f"<td>{cell(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def note(text: str) -> str:
    """A paragraph of explanation, given as HTML."""
    return f'<p class="note">{text}</p>'


def scorer_table(metrics: Mapping[str, float], attributes: Sequence[str]) -> str:
    """How well the scorer agrees with the labels that its training kept for reporting.

    Args:
        metrics: ``metric/attribute`` -> value.
        attributes: in the order of the scores, which is that of the rows.
    """
    columns = [key for key in SCORER_COLUMNS if any(name.startswith(f"{key}/") for name in metrics)]
    rows = [[name, *(metrics.get(f"{key}/{name}") for key in columns)] for name in attributes]
    header = ["attribute", *(SCORER_COLUMNS[key] for key in columns)]
    return table(header, rows) + note("On the labelled images that its training kept for reporting.")


def fit_table(boundary: LinearBoundary) -> str:
    """How well each hyperplane separates and predicts the scores."""
    figures = boundary.metrics.get("attributes", {})
    rows = [
        [name, *(figures.get(name, {}).get(key) for key in FIT_COLUMNS), float(boundary.lambdas[i])]
        for i, name in enumerate(boundary.attributes)
    ]
    return table(["attribute", *FIT_COLUMNS.values(), "λ"], rows) + note(
        "Accuracy does not measure a direction (a poor normal reaches .99 on extremes): look at what its edits do, "
        "below. λ is the score change per latent unit along the normal."
    )


def noise_table(boundary: LinearBoundary) -> str:
    """How far the directions would turn on another sample, from the bootstrap; empty where none was made."""
    figures = boundary.metrics.get("attributes", {})
    refits = {name: figures[name]["bootstrap"] for name in boundary.attributes if "bootstrap" in figures.get(name, {})}
    if not refits:
        return ""
    rows: list[list[Any]] = []
    for name, found in refits.items():
        interval, noise, wanted = found.get("cosine_low"), found.get("noise"), found.get("samples_for_95")
        rows.append(
            [
                name,
                None if interval is None else f"{interval:.3f} to {found['cosine_high']:.3f}",
                None if noise is None else f"{100 * noise:.0f} %",
                found.get("agreement"),
                None if wanted is None else round(wanted),
            ]
        )
    header = ["attribute", "cosine of a refit with the fit", "noise", "cosine of two samples", "samples for .95"]
    return table(header, rows) + note(
        "Each boundary was fitted again on samples drawn with replacement from its own: nine of ten such refits lie in "
        "the first interval. Noise is the share of the fitted direction, in squared length, that another sample would "
        "not repeat. Two independent samples of this size would agree to the cosine beside it, and to .95 if they were "
        "as large as the last column says. An exact direction may still move other attributes: see below."
    )


def precision_table(rescoring: Rescoring) -> str:
    """Precision of the edits of each attribute, without and with holding the others."""
    single, held = precision(rescoring.single).tolist(), precision(rescoring.held).tolist()
    rows = list(zip(rescoring.attributes, single, held, strict=True))
    return table(["attribute", "precision, single", "precision, hold all"], rows)
