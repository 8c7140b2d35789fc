"""The report stage: what the boundaries do."""

import json
from pathlib import Path

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import changed, json_digest
from ifgan_pl.core.messages import say
from ifgan_pl.generators import load_generator
from ifgan_pl.report.build import build_report
from ifgan_pl.scorer.loading import SCORER, find_scorer, scorer_inputs, scorer_metrics
from ifgan_pl.scores.score_file import open_scores
from ifgan_pl.stages.places import RUN
from ifgan_pl.stages.up_to_date import digest_of, up_to_date


def report(
    *,
    scores: str = f"{RUN}/scores",
    boundary: str = f"{RUN}/boundary.safetensors",
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    faces: int = 32,
    out: str = f"{RUN}/report",
) -> Path:
    """Measure what boundaries do, and write a page with figures and the same numbers as JSON.

    Args:
        scores: the store that the boundary was fitted on.
        boundary: the boundary file.
        generator: the generator of the store.
        scorer: the scorer of the store.
        faces: how many unseen faces to edit and score again.
        out: folder of the report.

    Returns:
        the page.
    """
    if faces < 1:
        raise UserError(f"--faces must be at least 1, got {faces}")
    store = open_scores(scores)
    inputs = {"boundary": digest_of(boundary), "scores": json_digest(store.inputs), "num": store.num, "faces": faces}
    page = Path(out) / "index.html"
    if up_to_date("report", Path(out) / "report.json", inputs, lambda path: dict(json.loads(path.read_text()))):
        return page
    model, scorer_model = load_generator(generator), find_scorer(scorer)
    made_with = {"generator": model.fingerprint, **scorer_inputs(scorer_model, scorer)}
    differences = changed({k: store.inputs.get(k) for k in made_with}, made_with)
    if differences:
        raise UserError(f"{scores} was made with another generator or scorer ({'; '.join(differences)})")
    fitted = LinearBoundary.load(boundary)
    metrics = scorer_metrics(scorer_model, scorer)
    build_report(model, scorer_model, store, fitted, out, faces=faces, inputs=inputs, scorer_metrics=metrics)
    say(f"report: {page}")
    return page
