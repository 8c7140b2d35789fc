"""The invert stage: from photographs to the codes of the faces in them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.messages import is_rank_zero, say
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.photos.inversion import Inverter
from ifgan_pl.photos.inversions import TABLE, Inversions
from ifgan_pl.photos.inverting import InvertFaces
from ifgan_pl.photos.refinement import Steps
from ifgan_pl.photos.survey import FoundFace, Survey, survey
from ifgan_pl.stages.launch import join
from ifgan_pl.stages.places import INVERSIONS
from ifgan_pl.stages.trainer import make_trainer

NAMED = 5
"""How many left-out photographs the screen names; the table names all."""


def invert(
    *,
    photos: Sequence[str] = (),
    face: int | None = None,
    points: Sequence[str] = (),
    generator: str = "ffhq-mobile",
    steps: Sequence[int] = (),
    out: str = INVERSIONS,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Find the faces in photographs and invert them into codes that edit.py edits; continues what is there.

    Args:
        photos: files and folders of photographs; those that cannot be used are named and left out.
        face: number of the one face of each photograph, the largest 0; by default all.
        points: where the face of one photograph is, if it is not found: x,y x,y x,y, the two eyes and the mouth, in
            pixels of the upright photograph.
        generator: name of an embedded generator, or a file of one that has W+.
        steps: of refinement, five numbers: of one offset for all layers (where there is no encoder), of one for each,
            of these at full size; of the generator's weights, and of these at full size.
        out: folder; gets one safetensors file a face, with an image of photograph and inversion, inversions.csv and
            sheets.
        trainer: flags of the Lightning Trainer.

    Returns:
        the folder.

    Raises:
        UserError: no face in any photograph, or a folder of something else.
    """
    ranks = join(trainer)
    if not photos:
        raise UserError("give --photos: files, or a folder of them")
    phases = [phase.name for phase in fields(Steps)]
    if steps and (len(steps) != len(phases) or min(steps) < 0):
        raise UserError(
            f"--steps: {len(phases)} numbers of 0 or more ({', '.join(phases)}), got {' '.join(map(str, steps))}"
        )
    root = Path(out)
    if root.exists() and any(root.iterdir()) and not any(root.glob("*.safetensors")):
        raise UserError(f"{out} is not empty and holds no inversions: choose another --out")
    model = load_generator(generator)
    check_inverts(model)
    store = Inversions(root, model)
    found = survey(photos, face=face, points=points, leave_out=[out], ranks=ranks)
    new = invert_missing(store, found.faces, generator, trainer, steps=Steps(*steps))
    if is_rank_zero():
        name_skipped("invert", found, f"{out}/{TABLE}")
        store.tidy(found.faces)
        table, *sheets = store.write_table(found), *store.write_sheets(found.faces)
        counted = f"{len(found.faces)} faces of {len({f.path for f in found.faces})} photographs"
        say(f"invert: {counted} in {out}, {new} of them new" if new else f"invert: up to date ({counted} in {out})")
        for path in [table, *sheets[:10]]:
            say(f"invert: {path}")
    return root


def check_inverts(generator: Generator) -> None:
    """Refuse a generator into which photographs cannot be inverted."""
    if "w+" not in generator.spaces:
        raise UserError(
            f"{generator.name} has no W+ space, into which photographs are inverted: take ffhq-mobile or a StyleGAN"
        )


def invert_missing(
    store: Inversions,
    faces: Sequence[FoundFace],
    generator: str,
    flags: Mapping[str, Any] | None,
    *,
    steps: Steps | None = None,
) -> int:
    """Invert the faces that a folder lacks; called by all ranks.

    Args:
        store: the folder.
        faces: those that it is to hold, the same on every rank.
        generator: that of the folder, as the user named it.
        flags: of the Trainer.
        steps: of refinement; what is there must then have been made with them too. ``None``: those of the Inverter.

    Returns:
        how many were missing.
    """
    ranks = join(flags)
    todo = ranks.gather(store.missing(faces) if ranks.rank == 0 else [])[0]
    if not todo and steps is None:
        return 0
    trainer = make_trainer({**(flags or {}), "inference_mode": False}, "inverting faces")
    model = load_generator(generator)
    inverter = Inverter.load(model) if steps is None else Inverter.load(model, steps=steps)
    if steps is not None:
        store.check_settings([found for found in faces if found not in todo], inverter)
    if todo:
        trainer.predict(InvertFaces(inverter, store, todo), return_predictions=False)
        trainer.strategy.barrier()
    undone = sum(not store.path(found).exists() for found in todo)
    if undone:
        raise UserError(f"{undone} of {len(faces)} faces are not inverted: run the same command again")
    return len(todo)


def name_skipped(stage: str, found: Survey, table: str) -> None:
    """Say which photographs are left out."""
    for reason in list(found.skipped.values())[:NAMED]:
        say(f"{stage}: left out: {reason}")
    if len(found.skipped) > NAMED:
        say(f"{stage}: {len(found.skipped)} photographs are left out; {table} says why")
