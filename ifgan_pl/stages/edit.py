"""The edit stage: what ``edit.py`` does, from a request to images on disk."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ifgan_pl import __version__
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.strain import check_strain
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest, write_text
from ifgan_pl.core.messages import is_rank_zero, say
from ifgan_pl.core.resources import find, resource
from ifgan_pl.editing.aim import Aim, ScoreColumn
from ifgan_pl.editing.editor import Editor, Unit, parse_changes
from ifgan_pl.editing.outputs import FORMATS, EditOutputs, Format
from ifgan_pl.editing.plan import Column, EditPlan, Subject, amount, sample, sweep
from ifgan_pl.editing.predict import EditFaces
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import Space, native_resolution, parse_indices
from ifgan_pl.generators.truncation import check_psi
from ifgan_pl.images.write import check_video
from ifgan_pl.photos.editing import FaceRetouch, write_photographs
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.photos.inversions import Inversions
from ifgan_pl.photos.survey import Survey, survey
from ifgan_pl.scorer.loading import SCORER, find_scorer, load_scorer, scorer_inputs
from ifgan_pl.scores.external import read_latents
from ifgan_pl.stages.invert import check_inverts, invert_missing, name_skipped
from ifgan_pl.stages.launch import join
from ifgan_pl.stages.places import INVERSIONS
from ifgan_pl.stages.trainer import make_trainer, open_generator

SKIPPED = "skipped.csv"
HALF = 0.5
"""Of what was asked: edits of which less is seen are counted at the end."""


def edit(
    *,
    attribute: str | None = None,
    edit: Sequence[str] = (),
    hold: Sequence[str] = (),
    range: tuple[float, float] = (-3.0, 3.0),
    steps: int = 7,
    unit: Unit = "std",
    mode: Literal["shift", "to", "aim"] | None = None,
    metric: Literal["stored", "image", "covariance", "sqrt", "identity"] = "stored",
    layers: str | None = None,
    photos: Sequence[str] = (),
    face: int | None = None,
    points: Sequence[str] = (),
    inversions: str | None = None,
    generator: str = "ffhq-mobile",
    boundary: str | None = None,
    seeds: str | None = None,
    seed: int = 0,
    latents: str | None = None,
    space: Space | None = None,
    truncation: float = 0.7,
    out: str = "results",
    format: Sequence[Format] = ("png", "strip"),
    resolution: int | None = None,
    scorer: str | None = None,
    resume: bool = False,
    batch_size: int = 4,
    compile: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Edit faces along the boundaries of their generator, generated ones or those in photographs, and write images.

    Args:
        attribute: one attribute, over --range: smile, age, gender, eyeglasses, pose, …
        edit: several at once: smile=+2 age=-1.
        hold: attributes that must not move; all: those that the boundary was first fitted with and that are not edited
            (of the shipped one eyeglasses, smile, gender, age and pose); every: also those added from labels, which
            go together, so that little may be left to change; names and these words may be mixed.
        range: lowest and highest strength of --attribute.
        steps: images over --range.
        unit: std: standard deviations of the score; latent: the paper's α.
        mode: shift adds to each face; to moves each face to that value; aim adds no more to a face than the shipped
            scorer needs to be sure of what was asked, half to all of it, or up to one and a half where of what is there
            or not next to nothing, or half, shows by then (unit std): so are photographs edited by --edit, everything
            else is shifted, unless this says otherwise.
        metric: of the boundary; stored: image where the file has gradients of all attributes concerned (`train.py
            gradients`), else the one that it was fitted with; identity: the paper's projection.
        layers: rows of W+ to shift, e.g. 0-7; predictions then no longer apply.
        photos: files and folders of photographs, which are written whole with all faces in them edited; those that
            cannot be used are named and left out.
        face: number of the one face of each photograph, the largest 0; by default all.
        points: where the face of one photograph is, if it is not found: x,y x,y x,y, the two eyes and the mouth, in
            pixels of the upright photograph.
        inversions: folder of inversions, as train.py invert makes it: without --photos those in it are edited, with
            them it is where theirs are looked for and kept; by default runs/default/inversions.
        generator: name of an embedded generator, or a file.
        boundary: boundary file; by default the shipped one of the generator.
        seeds: sample indices, e.g. 0-15,40, by default 0-7; of --latents the rows, by default all.
        seed: stream of the samples, as in train.py score --seed.
        latents: codes from elsewhere: .npy or .safetensors; Z, W or W+.
        space: of --latents; by default the boundary's, or w+ where codes have rows.
        truncation: psi, 0 to 1.
        out: folder; must be empty.
        format: any of these: png, jpg (an image of every face and step); gif, webp, mp4 (an animation of every face,
            through its steps and back; more --steps make it smoother; mp4 needs PyAV: pip install 'ifgan_pl[video]');
            strip (labelled sheets, a row a face); grid (labelled sheets, one for each step); html (a gallery).
        resolution: side of the images: native if the family has it, else averaged down; by default the full one.
        scorer: adds scores before and after to edits.csv, of photographs to sheets as well, e.g. scorer-faces.
        resume: continue an interrupted run in --out.
        batch_size: faces a step; changes nothing in the result.
        compile: torch.compile of synthesis: half a minute the first time, pays most on a GPU (needs a C++ compiler).
        trainer: flags of the Lightning Trainer; ``precision`` is that of synthesis, as in train.py score.

    Returns:
        the files to look at; none where a run to resume had finished.

    Raises:
        UserError: a request that nothing can satisfy, or an output folder that is not empty.
    """
    check_request(attribute, edit, range, steps, format, batch_size, truncation)
    if (photos or inversions) and (seeds or latents or space):
        raise UserError("give either --photos or --inversions, or generated faces: --seeds, --latents, --space")
    if (points or face is not None) and not (photos or inversions):
        raise UserError("--face and --points say which face of --photos: give that too")
    mode = mode or ("aim" if (photos or inversions) and edit and unit == "std" else "shift")
    if mode == "aim" and unit != "std":
        raise UserError("--mode aim goes by what a scorer sees, in standard deviations: give --unit std")
    if (photos or inversions) and compile:
        raise UserError("--compile serves generated faces: the generator's weights are others for each photograph")
    trainer_ = make_trainer(trainer, "editing faces")
    model, numerics = open_generator(generator, trainer_, trainer, compile=compile)
    found = find(boundary or default_boundary(model), "checkpoints", (".safetensors",))
    editor = Editor(model, LinearBoundary.load(found))
    if default_name(editor.boundary) not in ("", model.name):
        say(f"note: a boundary of {default_name(editor.boundary)} serves {model.name}: both are {model.family}")
    people = store = None
    if photos or inversions:
        store = Inversions(inversions or INVERSIONS, model)
        people, codes = choose_photographs(editor, store, photos, face, points, out=out, trainer=trainer)
        faces, truncation = [one.subject for one in people.faces], 1.0
    else:
        faces, codes = choose_faces(editor, seeds, latents, seed=seed, space=space, truncation=truncation)
    if attribute is not None:
        columns, what = sweep(attribute, *range, steps, unit=unit, mode=mode), attribute
    else:
        changes = parse_changes(edit)
        columns = [Column("original", {}), Column("edited", changes)]
        what = ", ".join(f"{name} {amount(value, unit, mode)}" for name, value in changes.items())
    scorer_model = find_scorer(scorer) if scorer else None
    plan = EditPlan(
        columns=columns,
        title=f"{model.name}: {what}{title_notes(model, hold, layers, resolution)}",
        hold=hold[0] if list(hold) in (["all"], ["every"]) else tuple(hold),
        unit=unit,
        mode=mode,
        metric=None if metric == "stored" else metric,
        layers=parse_indices(layers) if layers else None,
        truncation=truncation,
        resolution=resolution,
        provenance={
            "generator": model.name,
            "generator_digest": model.fingerprint,
            "boundary": Path(found).name,
            "boundary_digest": file_digest(found),
            "seed": seed if latents is None and people is None else None,
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
    warn_of_strain(editor.boundary, columns[-1].changes or columns[0].changes, plan)
    names = getattr(scorer_model, "attributes", [])
    outputs = EditOutputs(Path(out), plan, faces, formats=format, attributes=names, keep=people is not None)
    if outputs.check(resume=resume):
        say(f"edit: up to date ({out})")
        return []
    retouch = None
    if people is not None and store is not None:
        name_skipped("edit", people, f"{out}/{SKIPPED}")
        invert_missing(store, people.faces, generator, trainer)
        codes = editor.codes(latents=torch.stack([store.load(one).codes for one in people.faces]), space="w+")
        retouch = FaceRetouch(people.faces, store, plan, load_sface().to(trainer_.strategy.root_device))
    aim = shipped_aim() if mode == "aim" else None
    task = EditFaces(editor, codes, outputs, scorer=scorer_model, retouch=retouch, aim=aim, batch_size=batch_size)
    trainer_.predict(task, return_predictions=False)
    trainer_.strategy.barrier()
    whole = []
    if people is not None:
        whole = write_photographs(outputs, people.faces, join(trainer))
        trainer_.strategy.barrier()
        if is_rank_zero() and people.skipped:
            write_skipped(Path(out) / SKIPPED, people.skipped)
    files = whole + outputs.finish() if is_rank_zero() else []
    if is_rank_zero() and mode == "aim":
        say_what_is_not_seen(Path(out))
    for path in files[:10]:
        say(f"edit: {path}")
    if len(files) > 10:
        say(f"edit: and {len(files) - 10} more files in {out}")
    return files


def choose_photographs(
    editor: Editor,
    store: Inversions,
    photos: Sequence[str],
    face: int | None,
    points: Sequence[str],
    *,
    out: str,
    trainer: Mapping[str, Any] | None,
) -> tuple[Survey, Tensor]:
    """The faces in photographs to edit, and a code like theirs, to try the request with; see :func:`edit`."""
    check_inverts(editor.generator)
    if points and not photos:
        raise UserError("--points shows a face in one of --photos: give that too")
    mean = editor.generator.w_mean
    assert mean is not None
    code = editor.codes(latents=mean.expand(1, editor.generator.num_ws, -1), space="w+")
    if not photos:
        return store.read_table(face), code
    return survey(photos, face=face, points=points, leave_out=[out, store.root], ranks=join(trainer)), code


def write_skipped(path: Path, skipped: Mapping[Path, str]) -> None:
    """A table of photographs that were left out, and why."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "reason"])
    writer.writerows((photo.name, reason.replace(str(photo), photo.name)) for photo, reason in skipped.items())
    write_text(path, text.getvalue())


def shipped_aim() -> Aim:
    """By the shipped scorer of seventeen, in the units of the shipped boundary."""
    judge = load_scorer(resource(f"checkpoints/{SCORER}-seventeen.ckpt"))
    known = LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    kinds = zip(judge.attributes, judge.kinds, strict=True)
    std = {name: float(known.score_std[known.index(name)]) for name in judge.attributes}
    return Aim(judge, {name: ScoreColumn(i, std[name], kind == "binary") for i, (name, kind) in enumerate(kinds)})


def say_what_is_not_seen(folder: Path) -> None:
    """One line that counts the edits of which the scorer sees less than half."""
    with (folder / "edits.csv").open(newline="") as file:
        seen = [float(row["seen"]) for row in csv.DictReader(file) if row["seen"]]
    if missed := sum(value < HALF for value in seen):
        say(f"note: of {missed} of {len(seen)} edits less than half shows (seen in edits.csv): more may show it")


def choose_faces(
    editor: Editor, seeds: str | None, latents: str | None, *, seed: int, space: Space | None, truncation: float
) -> tuple[list[Subject], Tensor]:
    """The faces to edit, and their codes; see :func:`edit`.

    Raises:
        UserError: numbers that are not in the file of latents, or codes that do not fit.
    """
    if latents is None:
        numbers = parse_indices(seeds or "0-7")
        return list(map(sample, numbers)), editor.codes(numbers, seed=seed, truncation=truncation)
    given, _ = read_latents(latents)
    numbers = parse_indices(seeds) if seeds else list(range(len(given)))
    if max(numbers) >= len(given):
        raise UserError(f"{latents} holds {len(given)} codes: --seeds names number {max(numbers)}")
    return list(map(sample, numbers)), editor.codes(latents=given[numbers], space=space, truncation=truncation)


def warn_of_strain(boundary: LinearBoundary, changes: Mapping[str, float], plan: EditPlan) -> None:
    """Say where a request goes against how attributes vary together.

    Raises:
        UserError: it makes no sense.
    """
    if changes and plan.mode != "to":
        options = {key: getattr(plan, key) for key in ("hold", "unit", "metric")}
        if note := check_strain(boundary, changes, **options):
            say(f"note: {note}")


def title_notes(generator: Generator, hold: Sequence[str], layers: str | None, resolution: int | None) -> str:
    """What the title of sheets says behind the edit; two of these things are said on the screen too."""
    title = f", hold {' '.join(hold)}" if hold else ""
    if layers:
        say("note: only some layers are shifted, so the score changes that the boundary predicts no longer apply")
        title += f", layers {layers}"
    native, _ = native_resolution(generator, resolution)
    if native != generator.img_resolution:
        say(f"note: {native}² images of {generator.name} are its cheap native ones, not full synthesis")
        title += f" ({native}² native)"
    return title


def check_request(
    attribute: str | None,
    edit: Sequence[str],
    range: Sequence[float],
    steps: int,
    format: Sequence[str],
    batch_size: int,
    truncation: float,
) -> None:
    """Refuse options that are wrong whatever the generator; see :func:`edit`.

    Raises:
        UserError: the first of them.
    """
    if (attribute is None) == (not edit):
        raise UserError("give either --attribute NAME (over a range) or --edit NAME=STRENGTH … (several at once)")
    if batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, got {batch_size}")
    if steps < 1:
        raise UserError(f"--steps must be at least 1, got {steps}")
    if len(range) != 2 or not np.isfinite(range).all():
        raise UserError(f"--range: two finite numbers expected, got {' '.join(map(str, range))}")
    if unknown := [name for name in format if name not in FORMATS]:
        raise UserError(f"--format: unknown {unknown[0]!r}; known: {', '.join(FORMATS)}")
    check_psi(truncation)
    if "mp4" in format:
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
