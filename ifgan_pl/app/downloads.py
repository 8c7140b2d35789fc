"""Files of an edit, made as ``edit.py`` makes them, and the command that makes the same ones."""

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ifgan_pl import __version__
from ifgan_pl.app.models import REACH, Edit, Models, indices_text
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.core.numerics import numerics_of
from ifgan_pl.editing.outputs import EditOutputs
from ifgan_pl.editing.plan import Column, EditPlan, amount, sample, sweep
from ifgan_pl.editing.table import Notes
from ifgan_pl.images.write import Pixels, to_uint8
from ifgan_pl.photos.editing import write_photograph
from ifgan_pl.photos.survey import opened

STRIP_STEPS, MOVIE_STEPS = 7, 31
FORMATS = {"image": "png", "strip": "strip", "animation": "webp", "photo": "png"}
"""Kind of download -> format of ``edit.py``, which writes whole photographs whatever the format."""


@dataclass(frozen=True)
class Download:
    """A file for the visitor: its name and its bytes."""

    name: str
    data: bytes


def make_download(
    models: Models, edit: Edit, kind: str, attribute: str | None, folder: Path, step: Callable[[int, int], None]
) -> Download:
    """The edited image or photograph, or a strip or an animation of one attribute over its reach, with provenance.

    Args:
        models: what computes.
        edit: what is done.
        kind: of :data:`FORMATS`.
        attribute: of a strip or an animation; the other changes of the edit have no part in it.
        folder: for what is written on the way; it is left empty.
        step: told of images done and in all, before each.

    Raises:
        UserError: nothing is changed, or no attribute is named.
    """
    plan, portrait = make_plan(models, edit, kind, attribute), edit.face.photo
    if kind == "photo" and portrait is None:
        raise UserError("there is no photograph: choose one first")
    subject = portrait.filed.subject if portrait else sample(edit.face.number)
    stem = Path(subject.name).name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        whole = kind == "photo"
        formats = [] if whole else [FORMATS[kind]]
        outputs = EditOutputs(Path(place) / "edit", plan, [subject], formats=formats, keep=whole)
        outputs.begin()
        images, notes = _images(models, edit, plan, kind, step)
        outputs.write_face(0, images, None, notes)
        if whole:
            found = portrait.filed
            path = outputs.folder / f"{found.name}{found.suffix}"
            write_photograph(path, outputs, [found], [0], len(plan.columns) - 1)
            opened.cache_clear()  # a visitor's photograph does not outlive the session
            return Download(f"{found.name}-edited{found.suffix}", path.read_bytes())
        outputs.finish()
        made, name = {
            "image": (f"{subject.name}_{plan.columns[-1].slug}.png", f"{stem}_{plan.columns[-1].slug}.png"),
            "strip": ("strip.png", f"{stem}_{attribute}.png"),
            "animation": (f"{subject.name}.webp", f"{stem}_{attribute}.webp"),
        }[kind]
        return Download(name, (outputs.folder / made).read_bytes())


@torch.no_grad()
def _images(
    models: Models, edit: Edit, plan: EditPlan, kind: str, step: Callable[[int, int], None]
) -> tuple[list[Pixels], Notes]:
    """The image of each column; of a photograph's face for a strip, also what its captions say."""
    editor, codes, portrait, images = models.editors[edit.metric], models.code(edit), edit.face.photo, []
    for done, column in enumerate(plan.columns):
        step(done, len(plan.columns))
        options = plan.options | {"metric": None}  # which is that of the editor
        shifted = editor.shifted(codes, column.changes, **options) if column.changes else codes
        if portrait is None:
            images.append(editor.images(shifted, truncation=edit.truncation))
        else:
            images.append(portrait.render(models.tuned(portrait), shifted, None))
    step(len(plan.columns), len(plan.columns))
    notes: Notes = None
    if portrait is not None and kind == "strip":
        notes = [{"identity": f"{identity:.4f}"} for identity in portrait.identities(images, plan.original)]
    return [to_uint8(image)[0] for image in images], notes


def make_plan(models: Models, edit: Edit, kind: str, attribute: str | None) -> EditPlan:
    """What ``edit.py`` would plan for the command of :func:`command`."""
    if kind not in FORMATS:
        raise UserError(f"unknown kind of file {kind!r}; known: {', '.join(FORMATS)}")
    hold = held(edit, kind, attribute)
    if kind in ("image", "photo"):
        if not edit.moved:
            raise UserError("nothing is changed yet: move a slider first")
        columns = [Column("original", {}), Column("edited", edit.moved)]
        what = ", ".join(f"{name} {amount(value, edit.unit, 'shift')}" for name, value in edit.moved.items())
    else:
        if attribute is None:
            raise UserError("say of which attribute")
        low, high = ends(models, edit, attribute)
        columns = sweep(attribute, low, high, STRIP_STEPS if kind == "strip" else MOVIE_STEPS, unit=edit.unit)
        what = attribute
    notes = f", hold {' '.join(hold)}" if hold else ""
    notes += f", layers {indices_text(edit.layers)}" if edit.layers else ""
    return EditPlan(
        columns=columns,
        title=f"{models.generator.name}: {what}{notes}",
        hold=hold,
        unit=edit.unit,
        metric=None if edit.metric == "stored" else edit.metric,
        layers=list(edit.layers) if edit.layers else None,
        truncation=1.0 if edit.face.photo else edit.truncation,
        provenance={
            "generator": models.generator.name,
            "generator_digest": models.generator.fingerprint,
            "boundary": models.boundary_path.name,
            "boundary_digest": file_digest(models.boundary_path),
            "seed": None if edit.face.photo else models.seed,
            "latents": None,
            "latents_digest": None,
            "scorer": None,
            "version": __version__,
            "numerics": numerics_of(models.device).as_dict(),
        },
    )


def held(edit: Edit, kind: str, attribute: str | None) -> tuple[str, ...]:
    """What is held while the file is made."""
    return edit.held if kind in ("image", "photo") else tuple(name for name in edit.hold if name != attribute)


def ends(models: Models, edit: Edit, attribute: str) -> tuple[float, float]:
    """The reach of an attribute's slider."""
    entries = {entry["name"]: entry for entry in models.describe()["attributes"]}
    reach = REACH if edit.unit == "std" else entries[attribute]["latent"]
    return -reach, reach


def command(models: Models, edit: Edit, kind: str, attribute: str | None, boundary: str | None) -> str:
    """The ``edit.py`` command that makes the same file; empty where there is nothing to make.

    Args:
        models, edit, kind, attribute: as of :func:`make_download`.
        boundary: as given on the command line; ``None``: the shipped one.
    """
    still = kind in ("image", "photo")
    if not edit.moved if still else attribute is None:
        return ""
    words = ["python", "edit.py"]
    if still:
        words += ["--edit", *(f"{name}={value:+g}" for name, value in edit.moved.items())]
    else:
        assert attribute is not None
        words += ["--attribute", attribute]
        low, high = ends(models, edit, attribute)
        if (low, high) != (-REACH, REACH):
            words += ["--range", f"{low:g}", f"{high:g}"]
        words += ["--steps", str(MOVIE_STEPS)] if kind == "animation" else []
    if hold := held(edit, kind, attribute):
        words += ["--hold", *hold]
    words += ["--seeds", str(edit.face.number)] if edit.face.photo is None else edit.face.photo.words()
    words += ["--mode", "shift"] if still and edit.face.photo and edit.unit == "std" else []  # as sliders say
    words += ["--unit", edit.unit] if edit.unit != "std" else []
    words += ["--metric", edit.metric] if edit.metric != "stored" else []
    words += ["--layers", indices_text(edit.layers)] if edit.layers else []
    words += ["--truncation", f"{edit.truncation:g}"] if edit.truncation != 0.7 and not edit.face.photo else []
    words += ["--seed", str(models.seed)] if models.seed else []
    words += ["--generator", models.name] if models.name != "ffhq-mobile" else []
    words += ["--boundary", boundary] if boundary else []
    words += ["--format", FORMATS[kind], "--out", "edited" if edit.face.photo else f"face-{edit.face.number}"]
    return shlex.join(words)
