"""A visitor's photograph: found faces or one that was pointed at, inverted, its edits carried over to it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ifgan_pl.app.models import Face, jpeg
from ifgan_pl.app.worker import Job
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest, write_bytes
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import synthesise
from ifgan_pl.images.write import Pixels
from ifgan_pl.photos import Inversion, Inverter, Photo, open_photo
from ifgan_pl.photos.editing import as_image, levels
from ifgan_pl.photos.faces import Face as ShownFace
from ifgan_pl.photos.identity import SFace
from ifgan_pl.photos.likeness import carry_over
from ifgan_pl.photos.survey import FoundFace, points_text, result_names, written_suffix

LONGEST_NAME = 80
SMALL = 128
"""Side of the images of faces to choose from."""
POINTED_AT = 1600
"""Longest side of the image in which a visitor points at a face."""
Points = Sequence[Sequence[float]]
"""(x, y) of the two eyes and of the mouth, in pixels of the upright photograph."""


@dataclass(frozen=True, eq=False)
class Received:
    """What a visitor sent.

    Attributes:
        photo: kept in the session's folder.
        name: of the visitor's own file.
    """

    photo: Photo
    name: str

    def sentence(self, error: UserError) -> str:
        """An error as the visitor is told it: of their own file, and without options of ``edit.py``."""
        text = str(error).replace(str(self.photo.path), self.name)
        if text.startswith("no face found"):
            return f"no face found in {self.name}"
        return text.partition(", or say where")[0].replace("--points", "the points")


@dataclass(frozen=True)
class Faces:
    """The faces in a photograph, a small JPEG of each, or why there is none."""

    images: list[bytes]
    why: str = ""


@dataclass(frozen=True)
class Picture:
    """A whole photograph, upright, as a JPEG for the screen; width and height are those of the photograph."""

    jpeg: bytes
    width: int
    height: int


@dataclass(eq=False)
class Portrait:
    """A face of a photograph, inverted; what :attr:`ifgan_pl.app.models.Face.photo` holds.

    Attributes:
        received: the photograph.
        found: the face in it.
        number: of it there; ``None``: the visitor pointed at it.
        inversion: its code, the generator's tuning, and the likeness.
        network: compares faces.
        sides: side -> the photograph's face (side, side, 3), and what the generator makes of its code, 0 to 255.
    """

    received: Received
    found: ShownFace
    number: int | None
    inversion: Inversion
    network: SFace
    sides: dict[int, tuple[Pixels, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the photograph's file."""
        return self.received.name

    @property
    def filed(self) -> FoundFace:
        """The face as ``edit.py`` finds it in the visitor's own file."""
        photo = self.received.photo
        points = tuple((float(x), float(y)) for x, y in self.found.points)
        name, suffix = result_names([Path(self.name)])[0], written_suffix(photo)
        return FoundFace(photo.path, file_digest(photo.path), name, suffix, self.number or 0, points)

    @torch.no_grad()
    def render(self, generator: Generator, codes: Tensor, side: int | None) -> Tensor:
        """The photograph's face with the edit of a code (1, num_ws, w_dim): (1, 3, side, side) in [-1, 1].

        Of its own code it is the photograph itself.

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
        photo, before = self.sides[len(edited)]
        changed = not torch.equal(codes[0].cpu(), self.inversion.codes)
        return as_image(carry_over(photo, before, edited) if changed else photo).to(codes.device)

    @torch.no_grad()
    def identities(self, images: Sequence[Tensor], original: int) -> list[float]:
        """How much each image (1, 3, H, W) shows the same person as one of them, by ``edit.py``'s measure."""
        embeddings = [self.network(image) for image in images]
        return [float((one * embeddings[original]).sum()) for one in embeddings]

    def words(self) -> list[str]:
        """How ``edit.py`` is told of it."""
        file = f"./{self.name}" if self.name.startswith("-") else self.name
        if self.number is None:
            return ["--photos", file, "--points", *points_text(self.filed.points).split()]
        return ["--photos", file, "--face", str(self.number)]

    def likeness(self) -> str:
        """How like the photograph the inversion is, in words."""
        found = self.inversion.likeness
        return f"likeness {found['identity']:.2f} of 1 (SFace), {found['psnr']:.1f} dB"


def receive(folder: Path, name: str, data: bytes) -> Received:
    """Keep what a visitor sent in a folder of its own, and read it.

    Raises:
        UserError: it is no photograph, broken or too large; the folder is removed then.
    """
    name = "".join(filter(str.isprintable, Path(name.replace("\\", "/")).name))
    safe = re.sub(r"[^\w.-]", "_", name)[-LONGEST_NAME:].lstrip(".") or "photograph"
    path = folder / safe
    write_bytes(path, data)
    try:
        return Received(open_photo(path), (name.strip(".") and name) or safe)
    except UserError as error:
        path.unlink()
        folder.rmdir()
        raise UserError(str(error).replace(str(path), safe)) from None


def find(received: Received, job: Job) -> Faces:
    """The faces in a photograph; a long job's work."""
    job.step(0, 0)
    try:
        return Faces([jpeg(face.aligned(SMALL)) for face in received.photo.faces])
    except UserError as error:
        return Faces([], received.sentence(error))


def picture(received: Received, job: Job) -> Picture:
    """The whole photograph, to point at a face in it; a long job's work."""
    job.step(0, 0)
    pixels = received.photo.shown
    small = Image.fromarray(pixels)
    small.thumbnail((POINTED_AT, POINTED_AT), Image.Resampling.LANCZOS)
    return Picture(jpeg(np.asarray(small)), pixels.shape[1], pixels.shape[0])


def invert(inverter: Callable[[], Inverter], received: Received, which: int | Points, job: Job) -> Face:
    """A face of a photograph, to edit; a long job's work of a minute or two.

    Args:
        inverter: loads what inverts.
        received: the photograph.
        which: number of a face that was found, or where one is.
        job: told of each step.

    Raises:
        UserError: no such face.
    """
    job.step(0, 0)
    found, made, done = face_of(received, which), inverter(), 0
    steps = vars(made.steps) | ({"w": 0} if made.encoder is not None else {})  # which an encoder's code needs not
    total = sum(steps.values())

    def progress(phase: str, one: int, of: int) -> None:
        nonlocal done
        done += 1
        job.step(done, total)

    inversion = made.invert(found, progress=progress)
    number = which if isinstance(which, int) else None
    portrait = Portrait(received, found, number, inversion, made.network)
    return Face(number or 0, inversion.codes[None], portrait)


def face_of(received: Received, which: int | Points) -> ShownFace:
    """A face by its number or by its points.

    Raises:
        UserError: there is none.
    """
    try:
        photo = received.photo if isinstance(which, int) else open_photo(received.photo.path, points=which)
        number = which if isinstance(which, int) else 0
        if not 0 <= number < len(photo.faces):
            raise UserError(f"{received.name} has {len(photo.faces)} faces; there is no number {number}")
        photo.faces[number].aligned(SMALL)  # it may lie outside the photograph
        return photo.faces[number]
    except UserError as error:
        raise UserError(received.sentence(error)) from None
