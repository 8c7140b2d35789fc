"""Invert faces by the hundred, through ``Trainer.predict``: faces are shared out over the ranks, each is one file."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import nn
from torch.utils.data import DataLoader

from ifgan_pl.core.progress import SampleProgress
from ifgan_pl.editing.predict import Faces
from ifgan_pl.generators.sampling import synthesise
from ifgan_pl.images.write import Pixels, save_image, to_uint8
from ifgan_pl.photos.inversion import TOGETHER, Inversion, Inverter
from ifgan_pl.photos.inversions import Inversions
from ifgan_pl.photos.survey import FoundFace

SHOWN = 512
"""Side of photograph and inversion in the image beside an inversion."""


class Inverted(NamedTuple):
    """Faces, their inversions, and photograph and inversion of each side by side, (SHOWN, 2 SHOWN, 3) uint8."""

    faces: list[FoundFace]
    inversions: list[Inversion]
    images: list[Pixels]
    samples: float
    """How many faces the progress bar has not been told of yet."""


class InvertFaces(pl.LightningModule):
    """Invert faces into a folder, which its :class:`InversionWriter` writes.

    Args:
        inverter: on any device.
        store: the folder.
        faces: the same on every rank.
    """

    def __init__(self, inverter: Inverter, store: Inversions, faces: Sequence[FoundFace]) -> None:
        super().__init__()
        self.generator, self.inverter = inverter.generator, inverter
        self.store, self.faces = store, list(faces)

    def configure_callbacks(self) -> list[pl.Callback]:
        """The writer."""
        return [InversionWriter(self.store)]

    def on_predict_start(self) -> None:
        """Move what computes to this rank's device."""
        for part in (self.generator, self.inverter.encoder, self.inverter.network):
            if isinstance(part, nn.Module):
                part.to(self.device).eval()

    def predict_dataloader(self) -> DataLoader[list[int]]:
        """This rank's share of the faces."""
        mine = range(self.trainer.global_rank, len(self.faces), self.trainer.world_size)
        return DataLoader(Faces(mine, 1 if self.device.type == "cpu" else TOGETHER), batch_size=None)

    def predict_step(self, positions: list[int], batch_idx: int) -> Inverted:
        """Invert some faces."""
        found = [self.faces[i] for i in positions]
        bar = next((c.bar for c in self.trainer.callbacks if isinstance(c, SampleProgress)), None)  # type: ignore[attr-defined]
        steps, told = sum(vars(self.inverter.steps).values()), 0
        if self.inverter.encoder is not None:  # whose code is no start for the first phase
            steps -= self.inverter.steps.w

        def tell(*_: Any) -> None:
            nonlocal told
            told += 1
            if bar is not None:
                bar.advance(1 / steps)

        inversions = self.inverter.invert([one.face for one in found], progress=tell)
        images = [self.both(one, inversion) for one, inversion in zip(found, inversions, strict=True)]
        return Inverted(found, inversions, images, len(found) - (told / steps if steps else 0))

    def both(self, found: FoundFace, inversion: Inversion) -> Pixels:
        """Photograph and inversion, side by side."""
        generator = inversion.generator(self.generator)
        size = min(SHOWN, generator.img_resolution)
        with torch.no_grad():
            image = synthesise(generator, inversion.codes[None].to(self.device), space="w+", resolution=size)
        return np.concatenate([found.face.aligned(size), to_uint8(image)[0]], axis=1)


class InversionWriter(BasePredictionWriter):
    """Write each inversion, and its image before it: where the inversion is, all is."""

    def __init__(self, store: Inversions) -> None:
        super().__init__(write_interval="batch")
        self.store = store

    def write_on_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: Inverted, *_: Any
    ) -> None:
        """Write a batch."""
        for found, inversion, image in zip(prediction.faces, prediction.inversions, prediction.images, strict=True):
            path = self.store.path(found)
            save_image(path.with_suffix(".jpg"), image, {"index": found.subject.index})
            inversion.save(path)
