"""Inversion: the code and what else it takes for a generator to show the face of a photograph."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ifgan_pl import __version__
from ifgan_pl.core.cores import use_one_thread
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest, load_tensors, save_tensors
from ifgan_pl.core.numerics import numerics_of
from ifgan_pl.core.resources import resource
from ifgan_pl.generators.base import Generator, parameter_digest
from ifgan_pl.generators.loading import load_generator
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.sampling import device_of
from ifgan_pl.photos.encoder import ENCODER, load_encoder
from ifgan_pl.photos.faces import Face
from ifgan_pl.photos.identity import SFace, load_sface
from ifgan_pl.photos.refinement import MEDIUM, Progress, Steps, photos_at, prior_of, refine, tune
from ifgan_pl.photos.tuning import tuned

FORMAT = "ifgan_pl.inversion/1"
TUNING = "tuning."
"""Prefix of the names of a file's tensors that change the generator's weights."""
TOGETHER = 8
"""Faces whose codes a GPU refines at once; a CPU takes one after the other."""
log = logging.getLogger(__name__)
Encoder = Callable[[Tensor], Tensor]
"""Images (N, 3, 256, 256) in [-1, 1], FFHQ-aligned -> W+ codes (N, num_ws, w_dim)."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """A face as its generator shows it.

    Attributes:
        codes: (num_ws, w_dim) float32, what synthesis receives.
        quad: (4, 2) float64, where the face lies in the upright photograph, see :mod:`ifgan_pl.photos.alignment`.
        likeness: how like the photograph its image is: ``psnr`` at 256² in dB, ``identity`` the cosine of SFace's
            embeddings (which refinement raises: ask another network whose face it is).
        provenance: JSON-able: ``generator``, ``encoder``, ``steps``, ``photo``, ``version``, ``numerics``.
        tuning: changes of the generator's weights, by name; empty where there is none. :meth:`generator` applies them.
    """

    codes: Tensor
    quad: NDArray[np.float64]
    likeness: Mapping[str, float]
    provenance: Mapping[str, Any]
    tuning: Mapping[str, Tensor] = field(default_factory=dict)

    def generator(self, generator: Generator) -> Generator:
        """The generator that shows this face: the given one, its weights tuned to it.

        Raises:
            UserError: the inversion was made with another generator.
        """
        made_by = self.provenance.get("generator", {})
        if made_by.get("digest") != generator.fingerprint:
            raise UserError(
                f"this inversion was made with {made_by.get('name')}, other weights than those of {generator.name}"
            )
        return tuned(generator, self.tuning)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file; equal inversions give equal bytes."""
        tensors = {"codes": self.codes, "quad": torch.from_numpy(np.asarray(self.quad, np.float64))}
        tensors |= {TUNING + name: value for name, value in self.tuning.items()}
        metadata = {"format": FORMAT, "likeness": dict(self.likeness), "provenance": dict(self.provenance)}
        save_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file of :meth:`save`.

        Raises:
            UserError: missing, damaged, or not an inversion.
        """
        tensors, metadata = load_tensors(path)
        codes, quad = tensors.get("codes"), tensors.get("quad")
        if metadata.get("format") != FORMAT or codes is None or quad is None:
            raise UserError(f"{path} is not an inversion of this version ({FORMAT}): make it again")
        if codes.ndim != 2 or quad.shape != (4, 2) or not all(bool(t.isfinite().all()) for t in tensors.values()):
            raise UserError(f"{path} is not a valid inversion: its numbers are not finite, or not as many as expected")
        tuning = {name.removeprefix(TUNING): t for name, t in tensors.items() if name.startswith(TUNING)}
        return cls(codes, quad.double().numpy(), metadata["likeness"], metadata["provenance"], tuning)


def shipped_encoder(generator: Generator) -> Encoder | None:
    """The encoder that ships, for the generator that it was trained with; ``None`` for others, or where none ships."""
    try:
        path = resource(f"checkpoints/{ENCODER}.ckpt")
    except FileNotFoundError:
        return None
    return load_encoder(path) if isinstance(generator, MobileStyleGAN) else None


class Inverter:
    """From faces in photographs to :class:`Inversion`; made by :meth:`load`.

    Args:
        generator: one that has W+.
        encoder: where refinement starts, ``None``: at the mean code.
        network: what compares faces, on the generator's device.
        steps: of refinement.
    """

    def __init__(self, generator: Generator, encoder: Encoder | None, network: SFace, steps: Steps) -> None:
        if "w+" not in generator.spaces:
            raise UserError(
                f"{generator.name} has no W+, which photographs are inverted into: take ffhq-mobile or a StyleGAN"
            )
        self.generator, self.encoder, self.network, self.steps = generator, encoder, network, steps
        self.prior = prior_of(generator)

    @classmethod
    def load(
        cls,
        generator: Generator | str = "ffhq-mobile",
        *,
        encoder: Encoder | str | Path | None = None,
        steps: Steps = Steps(),  # noqa: B008 (frozen)
    ) -> "Inverter":
        """An inverter into a generator.

        Args:
            generator: or its name, see :func:`ifgan_pl.generators.load_generator`; faces are inverted on its device.
            encoder: see :data:`Encoder`; or a checkpoint, or the name of a shipped one. ``None``: the shipped one where
                it is of this generator, else refinement starts at the mean code.
            steps: of refinement.

        Raises:
            UserError: a generator without W+, an encoder of another generator, no network at the first run.
        """
        generator = load_generator(generator) if isinstance(generator, str) else generator
        if encoder is None:
            encoder = shipped_encoder(generator)
        elif isinstance(encoder, str | Path):
            encoder = load_encoder(encoder)
        if encoder is None:
            log.warning("there is no encoder for %s: refinement starts at the mean face", generator.name)
        device = device_of(generator)
        if isinstance(encoder, nn.Module):
            encoder = encoder.to(device)
        return cls(generator, encoder, load_sface().to(device), steps)

    @overload
    def invert(self, face: Face, *, progress: Progress | None = None) -> Inversion: ...
    @overload
    def invert(self, face: Sequence[Face], *, progress: Progress | None = None) -> list[Inversion]: ...
    def invert(self, face: Face | Sequence[Face], *, progress: Progress | None = None) -> Inversion | list[Inversion]:
        """Invert one face, or several. Each inversion is a function of its face alone, whatever it comes with.

        Args:
            face: of :attr:`ifgan_pl.photos.Photo.faces`.
            progress: called after each step of each face with the phase, the steps done and their number.
        """
        if isinstance(face, Face):
            return self._invert([face], progress)[0]
        size = 1 if device_of(self.generator).type == "cpu" else TOGETHER
        groups = [face[first : first + size] for first in range(0, len(face), size)]
        return [inversion for group in groups for inversion in self._invert(group, progress)]

    def _invert(self, faces: Sequence[Face], progress: Progress | None) -> list[Inversion]:
        """Invert faces whose codes are refined together, on a GPU in a batch of a fixed size."""
        device = device_of(self.generator)
        if device.type == "cpu":
            use_one_thread()
        padding = 0 if device.type == "cpu" else TOGETHER - len(faces)
        pixels = [torch.from_numpy(face.aligned(self.generator.img_resolution).copy()) for face in faces]
        photos = torch.stack(pixels + pixels[-1:] * padding).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1

        def tell(phase: str, done: int, count: int) -> None:
            if progress is not None:
                for _ in faces:
                    progress(phase, done, count)

        start = self.start(photos)
        if start.shape[1:] != (self.generator.num_ws, self.generator.w_dim):
            raise UserError(f"the encoder makes codes of {tuple(start.shape[1:])}, which {self.generator.name} has not")
        steps = self.steps if self.encoder is None else replace(self.steps, w=0)
        codes = refine(self.generator, self.prior, self.network, start, photos, steps, tell)
        inversions = []
        for face, code, photo in zip(faces, codes[:, None], photos[:, None], strict=False):
            tuning = tune(self.generator, self.network, code, photo, steps, progress)
            likeness = self.likeness(tuned(self.generator, tuning), code, photo)
            inversions.append(Inversion(code[0].cpu(), face.quad, likeness, self.provenance(face), tuning))
        return inversions

    @torch.no_grad()
    def start(self, photos: Tensor) -> Tensor:
        """Codes (N, num_ws, w_dim) that refinement starts from, of photographs (N, 3, S, S)."""
        if self.encoder is not None:
            return self.encoder(photos_at(photos, MEDIUM)).float()
        return self.prior.mean.to(photos).expand(len(photos), self.generator.num_ws, -1)

    @torch.no_grad()
    def likeness(self, generator: Generator, codes: Tensor, photos: Tensor) -> dict[str, float]:
        """How like the photograph (1, 3, S, S) the image of a code (1, num_ws, w_dim) is."""
        image = photos_at(generator.synthesis(codes).float().clamp(-1, 1), MEDIUM)
        error = (image - photos_at(photos, MEDIUM)).square().mean()
        identity = (self.network(image) * self.network(photos_at(photos, MEDIUM))).sum()
        return {"psnr": round(float(10 * torch.log10(4 / error)), 3), "identity": round(float(identity), 4)}

    def provenance(self, face: Face) -> dict[str, Any]:
        """What an inversion says of how it was made."""
        generator, path = self.generator, face.photo.path
        return {
            "generator": {"name": generator.name, "digest": generator.fingerprint},
            "encoder": parameter_digest(self.encoder) if isinstance(self.encoder, nn.Module) else None,
            "steps": vars(self.steps),
            "photo": {"name": path.name, "digest": file_digest(path)},
            "version": __version__,
            "numerics": numerics_of(device_of(generator)).as_dict(),
        }
