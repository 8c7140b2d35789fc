"""The report stage: measure what boundaries do on faces that they were not fitted on, and write it down."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import Progress
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.images.sheets import draw_strip
from ifgan_pl.images.write import to_uint8
from ifgan_pl.report.html import embed, heat_maps, histograms, table, write_report
from ifgan_pl.report.rescoring import Rescoring, correlation, cosine_matrix, rescore
from ifgan_pl.scores.score_file import ScoreFile
from ifgan_pl.scores.store import ScoreStore

STRIP_FACES = 3
STRIP_STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)


@torch.no_grad()
def build_report(
    generator: Generator,
    scorer: Callable[[Tensor], Tensor],
    store: ScoreStore | ScoreFile,
    boundary: LinearBoundary,
    folder: str | Path,
    *,
    faces: int,
    inputs: dict[str, Any],
    scorer_metrics: Mapping[str, float] | None = None,
) -> Path:
    """Write the report of a boundary.

    Args:
        generator, scorer: the ones that made the store.
        store: the scored sample of the fit.
        boundary: fitted on it.
        folder: of the report.
        faces: how many unseen faces to edit and score again: the sample indices that follow the store's.
        inputs: fingerprints, kept in ``report.json``.
        scorer_metrics: ``metric/attribute`` of the scorer on the rows that its training kept for reporting.

    Returns:
        the page.
    """
    names = list(boundary.attributes)
    columns = [attribute_index(n, store.inputs["attributes"]) for n in names]
    _, scores = store.load()
    measured = torch.cov(scores[:, columns].double().T)
    predicted = boundary.semantic_covariance().double()
    codes = sample_codes(
        generator,
        range(store.num, store.num + faces),
        seed=store.inputs["seed"],
        space=boundary.space,
        truncation=store.inputs["truncation"],
    )
    editor = Editor(generator, boundary)
    views = {"truncation": store.inputs["truncation"], "resolution": store.inputs["resolution"]}
    with Progress() as progress:
        bar = progress.add_task("re-scoring edits", total=4 * len(names) * faces)
        rescoring = rescore(
            editor, scorer, codes, columns=columns, progress=lambda done: progress.advance(bar, done), **views
        )
    cosines = cosine_matrix(boundary)
    figures = boundary.metrics["attributes"]
    data = {
        "inputs": inputs,
        "attributes": names,
        "samples": store.num,
        "metrics": figures,
        "scorer": dict(scorer_metrics or {}),
        "lambdas": dict(zip(names, boundary.lambdas.tolist(), strict=True)),
        "cosines": cosines.tolist(),
        "covariance_predicted": predicted.tolist(),
        "covariance_measured": measured.tolist(),
        "rescoring": rescoring_data(rescoring, faces),
    }
    sections = [
        *([("The scorer", scorer_table(scorer_metrics, store.inputs["attributes"]))] if scorer_metrics else []),
        ("Boundaries", accuracies(boundary, figures)),
        ("Are the semantics entangled?", entanglement(names, cosines, predicted, measured)),
        ("Edited faces, measured again", rescored(rescoring, faces)),
        ("What the edits look like", strips(editor, codes[:STRIP_FACES], store)),
        ("Distribution of the scores", embed(histograms(scores[:, columns], names))),
    ]
    title = f"{len(names)} boundaries in {boundary.space.upper()} of {generator.name}, {store.num:,} samples"
    return write_report(folder, title=title, sections=sections, data=data)


def rescoring_data(rescoring: Rescoring, faces: int) -> dict[str, Any]:
    """As JSON."""
    return {
        "faces": faces,
        "strength": rescoring.strength,
        **{
            kind: {"movement": movement.tolist(), "precision": Rescoring.precision(movement).tolist()}
            for kind, movement in (("single", rescoring.single), ("hold_all", rescoring.held))
        },
    }


METRICS = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "ap": "average precision",
    "f1": "F1",
    "ece": "calibration error",
    "mae": "mean absolute error",
    "r": "r",
}


def scorer_table(metrics: Mapping[str, float], attributes: Sequence[str]) -> str:
    """How well the scorer agrees with the labels that its training kept for reporting, in the order of its scores."""
    columns = [key for key in METRICS if any(name.startswith(f"{key}/") for name in metrics)]
    rows = [[name, *(metrics.get(f"{key}/{name}") for key in columns)] for name in attributes]
    note = '<p class="note">On the labelled images that its training kept for reporting.</p>'
    return table(["attribute", *(METRICS[key] for key in columns)], rows) + note


def accuracies(boundary: LinearBoundary, figures: dict[str, Any]) -> str:
    """Table of how well each hyperplane separates and predicts."""
    columns = {
        "accuracy_validation": "accuracy, validation",
        "accuracy_midpoint": "remaining, midpoint",
        "accuracy_median": "remaining, median",
        "r2": "linearity R²",
        "train": "fitted on",
        "validation": "validated on",
    }
    rows = [
        [name, *(figures[name].get(c) for c in columns), float(boundary.lambdas[i])]
        for i, name in enumerate(boundary.attributes)
    ]
    note = (
        '<p class="note">Accuracy does not measure a direction (a poor normal reaches .99 on extremes): judge one '
        "by what its edits do, below. λ is the score change per latent unit along the normal.</p>"
    )
    return table(["attribute", *columns.values(), "λ"], rows) + note


def entanglement(names: list[str], cosines: Tensor, predicted: Tensor, measured: Tensor) -> str:
    """The paper's two tables, and Σ_s beside what was measured."""
    first = heat_maps(
        {"cosines of the normals NᵀN": cosines, "correlation of the scores": correlation(measured)}, names, limit=1
    )
    second = heat_maps({"Σ_s = Λ NᵀΣN Λ, predicted": predicted, "covariance of the scores, measured": measured}, names)
    text = "<p>Semantics are disentangled where the covariance of their scores is diagonal.</p>"
    return text + embed(first) + embed(second)


def rescored(rescoring: Rescoring, faces: int) -> str:
    """Movement of every score under an edit of each attribute."""
    figure = heat_maps(
        {"single edits": rescoring.single, "conditional edits (hold all others)": rescoring.held},
        rescoring.attributes,
        rows="edited",
        columns="score moved, std",
    )
    single, held = (Rescoring.precision(m).tolist() for m in (rescoring.single, rescoring.held))
    rows = [[n, s, h] for n, s, h in zip(rescoring.attributes, single, held, strict=True)]
    text = (
        f"<p>{faces} faces that took no part in the fit, edited by ±{rescoring.strength:g} standard deviation and "
        "scored again. Precision: movement of the edited attribute per mean movement of the others.</p>"
    )
    return text + embed(figure) + table(["attribute", "precision, single", "precision, hold all"], rows)


def strips(editor: Editor, codes: Tensor, store: ScoreStore | ScoreFile) -> str:
    """A strip an attribute, all others held, at the resolution that was scored."""
    resolution = store.inputs["resolution"]
    parts = []
    for name in editor.attributes:
        rows: list[list[Image.Image]] = [[] for _ in codes]
        for step in STRIP_STEPS:
            edited = editor.shifted(codes, {name: step}, hold="all")
            pixels = to_uint8(editor.images(edited, truncation=store.inputs["truncation"], resolution=resolution))
            for row, image in zip(rows, pixels, strict=True):
                row.append(Image.fromarray(np.asarray(image)))
        sheet = draw_strip(
            rows,
            title=f"{name}, hold all",
            row_labels=[str(store.num + i) for i in range(len(codes))],
            column_labels=[f"{s:+g} std" if s else "original" for s in STRIP_STEPS],
            side=160,
        )
        parts.append(embed(sheet))
    note = f'<p class="note">Images as they were scored ({resolution}²); <code>edit.py</code> makes full ones.</p>'
    return note + "".join(parts)
