"""A visitor's photograph: found faces, a face inverted, its edits carried over to it and pasted back."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.app.downloads import Download
from ifgan_pl.app.models import Edit, Face, Models, jpeg
from ifgan_pl.app.worker import Job
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import write_bytes
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import synthesise
from ifgan_pl.images.write import Pixels, to_uint8
from ifgan_pl.photos import Inversion, Inverter, Photo, open_photo, save_photo
from ifgan_pl.photos.editing import as_image, levels
from ifgan_pl.photos.faces import Face as FoundFace
from ifgan_pl.photos.likeness import carry_over
from ifgan_pl.photos.paste import paste

LONGEST_NAME = 80
SMALL = 128
"""Side of the images of faces to choose from."""


@dataclass(eq=False)
class Portrait:
    """A face of a photograph, inverted; what :attr:`ifgan_pl.app.models.Face.photo` holds.

    Attributes:
        found: the face in its photograph.
        number: of it there.
        inversion: its code, the generator's tuning, and the likeness.
        sides: side -> the photograph's face (side, side, 3), and what the generator makes of its code, 0 to 255.
    """

    found: FoundFace
    number: int
    inversion: Inversion
    sides: dict[int, tuple[Pixels, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the photograph's file."""
        return self.found.photo.path.name

    @torch.no_grad()
    def render(self, generator: Generator, codes: Tensor, side: int | None) -> Tensor:
        """The photograph's face with the edit of a code (1, num_ws, w_dim): (1, 3, side, side) in [-1, 1].

        Args:
            generator: tuned to this face.
            codes: of the edited face.
            side: a native one of the generator; ``None``: its largest.
        """
        edited = levels(synthesise(generator, codes, space="w+", resolution=side))
        if len(edited) not in self.sides:
            own = self.inversion.codes[None].to(codes)
            before = levels(synthesise(generator, own, space="w+", resolution=side))
            self.sides[len(edited)] = self.found.aligned(len(edited)), before
        return as_image(carry_over(*self.sides[len(edited)], edited)).to(codes.device)

    def words(self) -> list[str]:
        """How ``edit.py`` is told of it."""
        return ["--photos", self.name, "--face", str(self.number)]

    def likeness(self) -> str:
        """How like the photograph the inversion is, in words."""
        found = self.inversion.likeness
        return f"likeness {found['identity']:.2f} of 1 (SFace), {found['psnr']:.1f} dB"


def receive(folder: Path, name: str, data: bytes) -> Photo:
    """Keep what a visitor sent in the session's folder, and read it.

    Raises:
        UserError: it is no photograph, broken or too large; the file is removed then.
    """
    safe = re.sub(r"[^\w.-]", "_", Path(name.replace("\\", "/")).name)[-LONGEST_NAME:].lstrip(".") or "photograph"
    path = folder / "photo" / safe
    write_bytes(path, data)
    try:
        return open_photo(path)
    except UserError as error:
        path.unlink()
        raise UserError(str(error).replace(str(path), safe)) from None


def find(photo: Photo, job: Job) -> list[bytes]:
    """A small JPEG of each face; a long job's work.

    Raises:
        UserError: there is none.
    """
    job.step(0, 0)
    try:
        return [jpeg(face.aligned(SMALL)) for face in photo.faces]
    except UserError as error:
        text = str(error).replace(str(photo.path), photo.path.name)
        if text.startswith("no face found"):
            text = f"no face found in {photo.path.name}: take a photograph in which it looks at the camera"
        raise UserError(text) from None


def invert(inverter: Callable[[], Inverter], photo: Photo, number: int, job: Job) -> Face:
    """The ``number``-th face of a photograph, to edit; a long job's work of a minute or two.

    Raises:
        UserError: no such face.
    """
    if not 0 <= number < len(photo.faces):
        raise UserError(f"{photo.path.name} has {len(photo.faces)} faces; there is no number {number}")
    job.step(0, 0)
    found, made, done = photo.faces[number], inverter(), 0
    steps = vars(made.steps) | ({"w": 0} if made.encoder is not None else {})  # which an encoder's code needs not
    total = sum(steps.values())

    def progress(phase: str, one: int, of: int) -> None:
        nonlocal done
        done += 1
        job.step(done, total)

    inversion = made.invert(found, progress=progress)
    return Face(number, inversion.codes[None], Portrait(found, number, inversion))


def pasted(models: Models, edit: Edit, folder: Path, job: Job) -> Download:
    """The whole photograph with its edited face, as a file of its kind; a long job's work.

    Raises:
        UserError: a sample is edited, or nothing is changed.
    """
    portrait = edit.face.photo
    if not isinstance(portrait, Portrait):
        raise UserError("there is no photograph: choose one first")
    if not edit.moved:
        raise UserError("nothing is changed yet: move a slider first")
    job.step(0, 2)
    after = to_uint8(models.render(edit, full=True))[0]
    job.step(1, 2)
    photo = portrait.found.photo
    pixels = paste(photo.pixels, portrait.found.quad, portrait.found.aligned(len(after)), after)
    about = {"edit": edit.moved, "hold": edit.held, "unit": edit.unit, "inversion": dict(portrait.inversion.provenance)}
    with TemporaryDirectory(dir=folder) as place:
        path = Path(place) / f"{Path(portrait.name).stem}-edited{photo.suffix}"
        save_photo(path, photo, pixels, about)
        return Download(path.name, path.read_bytes())
