"""Files of an edit, made as ``edit.py`` makes them, and the command that makes the same ones."""

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ifgan_pl import __version__
from ifgan_pl.app.models import REACH, Edit, Models, indices_text
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.core.numerics import numerics_of
from ifgan_pl.editing.outputs import EditOutputs
from ifgan_pl.editing.plan import Column, EditPlan, amount, sweep
from ifgan_pl.images.write import Pixels, to_uint8

STRIP_STEPS, MOVIE_STEPS = 7, 31
FORMATS = {"image": "png", "strip": "strip", "animation": "webp"}
"""Kind of download -> format of ``edit.py``."""


@dataclass(frozen=True)
class Download:
    """A file for the visitor: its name and its bytes."""

    name: str
    data: bytes


def make_download(
    models: Models, edit: Edit, kind: str, attribute: str | None, folder: Path, step: Callable[[int, int], None]
) -> Download:
    """The edited image, or a strip or an animation of one attribute over its reach, with provenance.

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
    plan = make_plan(models, edit, kind, attribute)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        outputs = EditOutputs(Path(place) / "edit", plan, [edit.face.number], formats=[FORMATS[kind]])
        outputs.begin()
        outputs.write_face(0, _images(models, edit, plan, step), None)
        outputs.finish()
        number = f"{edit.face.number:06d}"
        made, name = {
            "image": (f"{number}_{plan.columns[-1].slug}.png",) * 2,
            "strip": ("strip.png", f"{number}_{attribute}.png"),
            "animation": (f"{number}.webp", f"{number}_{attribute}.webp"),
        }[kind]
        return Download(name, (outputs.folder / made).read_bytes())


@torch.no_grad()
def _images(models: Models, edit: Edit, plan: EditPlan, step: Callable[[int, int], None]) -> list[Pixels]:
    """The image of each column."""
    editor, codes, images = models.editors[edit.metric], models.code(edit), []
    for done, column in enumerate(plan.columns):
        step(done, len(plan.columns))
        if edit.face.photo is not None:
            images.append(to_uint8(models.render(replace(edit, changes=column.changes), full=True))[0])
            continue
        options = plan.options | {"metric": None}  # which is that of the editor
        shifted = editor.shifted(codes, column.changes, **options) if column.changes else codes
        images.append(to_uint8(editor.images(shifted, truncation=edit.truncation))[0])
    step(len(plan.columns), len(plan.columns))
    return images


def make_plan(models: Models, edit: Edit, kind: str, attribute: str | None) -> EditPlan:
    """What ``edit.py`` would plan for the command of :func:`command`."""
    if kind not in FORMATS:
        raise UserError(f"unknown kind of file {kind!r}; known: {', '.join(FORMATS)}")
    hold = held(edit, kind, attribute)
    if kind == "image":
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
        truncation=edit.truncation,
        provenance={
            "generator": models.generator.name,
            "generator_digest": models.generator.fingerprint,
            "boundary": models.boundary_path.name,
            "boundary_digest": file_digest(models.boundary_path),
            "seed": models.seed,
            "latents": None,
            "latents_digest": None,
            "scorer": None,
            "version": __version__,
            "numerics": numerics_of(models.device).as_dict(),
        },
    )


def held(edit: Edit, kind: str, attribute: str | None) -> tuple[str, ...]:
    """What is held while the file is made."""
    return edit.held if kind == "image" else tuple(name for name in edit.hold if name != attribute)


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
    if not edit.moved if kind == "image" else attribute is None:
        return ""
    words = ["python", "edit.py"]
    if kind == "image":
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
    words += ["--unit", edit.unit] if edit.unit != "std" else []
    words += ["--metric", edit.metric] if edit.metric != "stored" else []
    words += ["--layers", indices_text(edit.layers)] if edit.layers else []
    words += ["--truncation", f"{edit.truncation:g}"] if edit.truncation != 0.7 and not edit.face.photo else []
    words += ["--seed", str(models.seed)] if models.seed else []
    words += ["--generator", models.name] if models.name != "ffhq-mobile" else []
    words += ["--boundary", boundary] if boundary else []
    words += ["--format", FORMATS[kind], "--out", f"face-{edit.face.number}"]
    return shlex.join(words)
