"""All stages, one after another: whatever is not up to date."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ifgan_pl.core.messages import is_rank_zero, say
from ifgan_pl.scorer.loading import SCORER
from ifgan_pl.stages.boundary import boundary
from ifgan_pl.stages.gradients import gradients
from ifgan_pl.stages.launch import join
from ifgan_pl.stages.places import RUN
from ifgan_pl.stages.report import report
from ifgan_pl.stages.score import score


def run_all(
    *,
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    num: int = 5000,
    seed: int = 0,
    truncation: float = 0.7,
    gradient_faces: int = 128,
    faces: int = 32,
    out: str = RUN,
    allow_numerics_change: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Score, boundary, gradients and report: every stage whose result is not up to date.

    Args:
        generator, scorer, num, seed, truncation, allow_numerics_change, trainer: see `score`.
        gradient_faces: the --faces of `gradients`; 0: edits follow the hyperplanes.
        faces: see `report`.
        out: folder of the run; it gets scores/, boundary.safetensors and report/.

    Returns:
        the report's page.
    """
    join(trainer)
    say(f"scorer: {scorer}")
    store = score(
        generator=generator,
        scorer=scorer,
        num=num,
        seed=seed,
        truncation=truncation,
        out=f"{out}/scores",
        allow_numerics_change=allow_numerics_change,
        trainer=trainer,
    )
    page = Path(out) / "report" / "index.html"
    fitted = boundary(scores=str(store), out=f"{out}/boundary.safetensors", trainer=trainer)
    gradients(boundary=str(fitted), generator=generator, scorer=scorer, faces=gradient_faces, trainer=trainer)
    if is_rank_zero():  # a minute at most, and no other rank waits for it
        report(
            scores=str(store),
            boundary=str(fitted),
            generator=generator,
            scorer=scorer,
            faces=faces,
            out=f"{out}/report",
        )
    return page
