"""The edit stage: what ``edit.py`` does, from a request to images on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ifgan_pl import __version__
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.core.messages import is_rank_zero, say
from ifgan_pl.core.resources import find
from ifgan_pl.editing.editor import Editor, parse_changes
from ifgan_pl.editing.outputs import FORMATS, Results
from ifgan_pl.editing.plan import Column, EditPlan, amount, sweep
from ifgan_pl.editing.predict import EditTask
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import native_resolution, parse_indices
from ifgan_pl.images.write import check_video
from ifgan_pl.scorer.loading import find_scorer, scorer_inputs
from ifgan_pl.scores.external import read_latents
from ifgan_pl.stages.trainer import make_trainer, open_generator


def edit(
    *,
    generator: str = "ffhq-mobile",
    boundary: str | None = None,
    attribute: str | None = None,
    edits: Sequence[str] = (),
    hold: Sequence[str] = (),
    seeds: str | None = None,
    latents: str | None = None,
    space: str | None = None,
    seed: int = 0,
    limits: tuple[float, float] = (-3.0, 3.0),
    steps: int = 7,
    unit: str = "std",
    mode: str = "shift",
    metric: str = "stored",
    layers: str | None = None,
    truncation: float = 0.7,
    resolution: int | None = None,
    formats: Sequence[str] = ("png", "strip"),
    scorer: str | None = None,
    out: str = "results",
    resume: bool = False,
    batch_size: int = 4,
    compile: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Edit faces and write images; see ``edit.py --help`` for what each option means.

    Returns:
        the files to look at; none where a run to resume had finished.

    Raises:
        UserError: a request that nothing can satisfy, or an output folder that is not empty.
    """
    check_request(attribute, edits, limits, steps, formats, batch_size)
    trainer_ = make_trainer(trainer, "editing faces")
    faces, numerics = open_generator(generator, trainer_, trainer, compile=compile)
    found = find(boundary or default_boundary(faces), "checkpoints", (".safetensors",))
    editor = Editor(faces, LinearBoundary.load(found))
    if default_name(editor.boundary) not in ("", faces.name):
        say(f"note: a boundary of {default_name(editor.boundary)} serves {faces.name}: both are {faces.family}")
    if latents is None:
        numbers = parse_indices(seeds or "0-7")
        codes = editor.codes(numbers, seed=seed, truncation=truncation)
    else:
        given, _ = read_latents(latents)
        numbers = parse_indices(seeds) if seeds else list(range(len(given)))
        if max(numbers) >= len(given):
            raise UserError(f"{latents} holds {len(given)} codes: --seeds names number {max(numbers)}")
        codes = editor.codes(latents=given[numbers], space=space, truncation=truncation)
    title = f"{faces.name}: "
    if attribute is not None:
        columns = sweep(attribute, *limits, steps, unit=unit, mode=mode)
        title += attribute
    else:
        changes = parse_changes(edits)
        columns = [Column("original", {}), Column("edited", changes)]
        title += ", ".join(f"{name} {amount(value, unit, mode)}" for name, value in changes.items())
    title += f", hold {' '.join(hold)}" if hold else ""
    if layers:
        say("note: only some layers are shifted, so the score changes that the boundary predicts no longer apply")
        title += f", layers {layers}"
    native, _ = native_resolution(faces, resolution)
    if native != faces.img_resolution:
        say(f"note: {native}² images of {faces.name} are its cheap native ones, not full synthesis")
        title += f" ({native}² native)"
    scorer_model = find_scorer(scorer) if scorer else None
    plan = EditPlan(
        columns=columns,
        title=title,
        hold="all" if "all" in hold else tuple(hold),
        unit=unit,
        mode=mode,
        metric=None if metric == "stored" else metric,
        layers=parse_indices(layers) if layers else None,
        truncation=truncation,
        resolution=resolution,
        provenance={
            "generator": faces.name,
            "generator_digest": faces.fingerprint,
            "boundary": Path(found).name,
            "boundary_digest": file_digest(found),
            "seed": seed if latents is None else None,
            "latents": Path(latents).name if latents else None,
            "latents_digest": file_digest(latents) if latents else None,
            "scorer": scorer_inputs(scorer_model, scorer)["scorer"] if scorer_model and scorer else None,
            "version": __version__,
            "numerics": numerics,
        },
    )
    for column in columns:  # refuse what cannot be done before anything is synthesised or written
        if column.changes:
            editor.shifted(codes[:1], column.changes, **plan.options)
    names = getattr(scorer_model, "attributes", [])
    results = Results(Path(out), plan, numbers, formats=formats, attributes=names)
    if results.check(resume=resume):
        say(f"edit: up to date ({out})")
        return []
    task = EditTask(editor, codes, results, scorer=scorer_model, batch_size=batch_size)
    trainer_.predict(task, return_predictions=False)
    trainer_.strategy.barrier()
    files = results.finish() if is_rank_zero() else []
    for path in files[:10]:
        say(f"edit: {path}")
    if len(files) > 10:
        say(f"edit: and {len(files) - 10} more sheets in {out}")
    return files


def check_request(
    attribute: str | None,
    edits: Sequence[str],
    limits: Sequence[float],
    steps: int,
    formats: Sequence[str],
    batch_size: int,
) -> None:
    """Refuse what no generator is needed to refuse."""
    if (attribute is None) == (not edits):
        raise UserError("give either --attribute NAME (over a range) or --edit NAME=STRENGTH … (several at once)")
    if batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, got {batch_size}")
    if steps < 1 or not np.isfinite(limits).all():
        raise UserError(f"--steps must be at least 1 and --range two finite numbers, got {steps} and {limits}")
    unknown = [f for f in formats if f not in FORMATS]
    if unknown:
        raise UserError(f"unknown format {unknown[0]!r}; known: {', '.join(FORMATS)}")
    if "mp4" in formats:
        check_video()


def default_name(boundary: LinearBoundary) -> str:
    """The generator whose sample a boundary was fitted on; empty where that is not known."""
    known = str(boundary.provenance.get("generator", ""))
    return known or ("ffhq-mobile" if boundary.family == "stylegan2-ffhq" else "")


def default_boundary(generator: Generator) -> str:
    """The shipped boundary of a generator's family."""
    if generator.family != "stylegan2-ffhq":
        raise UserError(f"no boundary ships for {generator.name}: give one with --boundary")
    return "ffhq-mobile-w"
