"""Measure what boundaries do on faces that they were not fitted on, and write it down."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.progress import CountBar
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.report.figures import embed, heat_maps, histograms, strips
from ifgan_pl.report.page import write_report
from ifgan_pl.report.rescoring import Rescoring, rescore
from ifgan_pl.report.tables import fit_table, noise_table, note, precision_table, scorer_table
from ifgan_pl.scores.score_file import ScoreFile
from ifgan_pl.scores.store import ScoreStore

STRIP_FACES = 3


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
    scores = store.load()[1][:, columns]
    views = {"truncation": store.inputs["truncation"], "resolution": store.inputs["resolution"]}
    unseen = range(store.num, store.num + faces)
    origin = {"seed": store.inputs["seed"], "space": boundary.space, "truncation": views["truncation"]}
    codes = sample_codes(generator, unseen, **origin)
    editor = Editor(generator, boundary)
    with CountBar("re-scoring edits", 4 * len(names) * faces) as bar:
        rescoring = rescore(editor, scorer, codes, columns=columns, progress=bar.advance, **views)
    cosines = boundary.normals @ boundary.normals.T
    predicted, measured = boundary.semantic_covariance().double(), torch.cov(scores.double().T)
    sheets = strips(editor, codes[:STRIP_FACES], unseen[:STRIP_FACES], **views)
    seen = note(f"Images as they were scored ({views['resolution']}²); <code>edit.py</code> makes full ones.")
    sections = {
        "The scorer": scorer_table(scorer_metrics, store.inputs["attributes"]) if scorer_metrics else "",
        "Boundaries": fit_table(boundary),
        "How much of a direction is noise?": noise_table(boundary),
        "Are the semantics entangled?": entanglement(names, cosines, predicted, measured),
        "Edited faces, scored again": rescored(rescoring, boundary),
        "What the edits look like": seen + "".join(map(embed, sheets)),
        "Distribution of the scores": embed(histograms(scores, names)),
    }
    data = {
        "inputs": inputs,
        "attributes": names,
        "samples": store.num,
        "metrics": boundary.metrics.get("attributes", {}),
        "scorer": dict(scorer_metrics or {}),
        "lambdas": dict(zip(names, boundary.lambdas.tolist(), strict=True)),
        "cosines": cosines.tolist(),
        "covariance_predicted": predicted.tolist(),
        "covariance_measured": measured.tolist(),
        "rescoring": rescoring.as_dict(),
    }
    title = f"{len(names)} boundaries in {boundary.space.upper()} of {generator.name}, {store.num:,} samples"
    return write_report(folder, title=title, sections=[(k, v) for k, v in sections.items() if v], data=data)


def entanglement(names: list[str], cosines: Tensor, predicted: Tensor, measured: Tensor) -> str:
    """The paper's two tables (section 4.3), and Σ_s beside what was measured: four (m, m) heat maps."""
    first = heat_maps(
        {"cosines of the normals NᵀN": cosines, "correlation of the scores": correlation(measured)}, names, limit=1
    )
    second = heat_maps({"Σ_s = Λ NᵀΣN Λ, predicted": predicted, "covariance of the scores, measured": measured}, names)
    text = "<p>Semantics are disentangled where the covariance of their scores is diagonal.</p>"
    return text + embed(first) + embed(second)


def correlation(covariance: Tensor) -> Tensor:
    """(m, m) covariance -> correlation; 0 beside a score that never changes."""
    std = covariance.diagonal().clamp_min(1e-12).sqrt()
    return covariance / std[:, None] / std


def rescored(rescoring: Rescoring, boundary: LinearBoundary) -> str:
    """Movement of every score under an edit of each attribute."""
    followed = "the normals of the boundaries" if boundary.gradients is None else "the gradients of the scores"
    figure = heat_maps(
        {"single edits": rescoring.single, "conditional edits (hold all others)": rescoring.held},
        rescoring.attributes,
        rows="edited",
        columns="score moved, std",
    )
    text = (
        f"<p>{rescoring.faces} faces that took no part in the fit, edited by ±{rescoring.strength:g} standard "
        f"deviation along {followed} and scored again. Precision: movement of the edited attribute per mean movement "
        "of the others.</p>"
    )
    return text + embed(figure) + precision_table(rescoring)
