"""Score image files with any scorer, through ``Trainer.predict``; the files are shared out over the ranks."""

import csv
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.cores import workers
from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import write_text
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.images.read import decode_or_name, find_images, split_broken, to_float, warn_of_broken

IMAGE_SIZE = 256
"""Side at which a scorer without ``image_size`` sees images."""
Batch = tuple[list[str], Tensor, list[str]]
"""Names of whole images, those images (n, 3, size, size) uint8, names of broken ones."""


def list_images(places: Sequence[str | Path]) -> list[Path]:
    """Image files: those below each folder, sorted, and the files given, each once.

    Raises:
        UserError: a place that is neither, or a folder without images.
    """
    files: dict[Path, None] = {}
    for place in places:
        if not Path(place).exists():
            raise UserError(f"no such file or folder: {place}")
        files |= dict.fromkeys([Path(place)] if Path(place).is_file() else find_images(place))
    return list(files)


class ImageFiles(Dataset[Batch]):
    """Batches of decoded files."""

    def __init__(self, files: Sequence[Path], size: int, batch_size: int) -> None:
        self.chunks = [files[i : i + batch_size] for i in range(0, len(files), batch_size)] or [[]]
        self.size, self.samples = size, len(files)

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, item: int) -> Batch:
        with ThreadPoolExecutor(workers()) as pool:
            decoded = list(pool.map(lambda file: decode_or_name(file, self.size), self.chunks[item]))
        names, whole, broken = split_broken(self.chunks[item], decoded)
        images = np.stack(whole) if whole else np.empty((0, 3, self.size, self.size), np.uint8)
        return names, torch.from_numpy(images), broken


class ScoredImages(NamedTuple):
    """What becomes of a batch: names of whole images, their scores (n, m) on the CPU, names of broken ones."""

    names: list[str]
    scores: Tensor
    broken: list[str]

    @property
    def samples(self) -> int:
        """How many files that were."""
        return len(self.names) + len(self.broken)


class ScoreImages(pl.LightningModule):
    """Score files; rank r of k takes every k-th from the r-th on.

    Args:
        scorer: images (n, 3, H, W) float in [-1, 1] -> scores (n, m). It sees the centre square of each, scaled to
            its ``image_size`` where it has one, else to 256.
        files: the same on every rank.
        batch_size: images a step; changes nothing in the result.
    """

    def __init__(self, scorer: Callable[[Tensor], Tensor], files: Sequence[Path], *, batch_size: int = 32) -> None:
        super().__init__()
        self.scorer, self.files, self.batch_size = scorer, files, batch_size
        self.collector = Collector()

    def configure_callbacks(self) -> list[pl.Callback]:
        """What keeps the scores."""
        return [self.collector]

    def on_predict_start(self) -> None:
        """Own modules are moved by Lightning; a plain callable is not."""
        if isinstance(self.scorer, nn.Module):
            self.scorer.to(self.device).eval()

    def predict_dataloader(self) -> DataLoader[Batch]:
        """This rank's share."""
        mine = self.files[self.trainer.global_rank :: self.trainer.world_size]
        size = getattr(self.scorer, "image_size", IMAGE_SIZE)
        return DataLoader(ImageFiles(mine, size, self.batch_size), batch_size=None)

    def predict_step(self, batch: Batch, batch_idx: int) -> ScoredImages:
        """Score a batch.

        Raises:
            UserError: scores that are not finite.
        """
        names, images, broken = batch
        if not names:
            return ScoredImages(names, torch.empty(0, 0), broken)
        scores = map_micro_batches(lambda piece: self.scorer(to_float(piece)).float(), images).cpu()
        wrong = [name for name, row in zip(names, scores, strict=True) if not row.isfinite().all()]
        if wrong:
            raise UserError(f"the scorer gave scores that are not finite for {', '.join(wrong[:5])}")
        return ScoredImages(names, scores, broken)


class Collector(BasePredictionWriter):
    """Keeps what this rank scored: a few numbers an image."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self.scores: dict[str, Tensor] = {}
        self.broken: list[str] = []

    def write_on_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: ScoredImages, *_: Any
    ) -> None:
        """Take a batch."""
        self.scores |= dict(zip(prediction.names, prediction.scores, strict=True))
        self.broken += prediction.broken

    def of_all(self, ranks: Ranks, files: Sequence[Path]) -> tuple[dict[str, Tensor], list[str]]:
        """File -> its scores (m,), in the order of the files, and the names of broken ones, of all ranks."""
        parts = ranks.gather((self.scores, self.broken))
        scores = {name: row for part, _ in parts for name, row in part.items()}
        broken = sorted(name for _, part in parts for name in part)
        return {str(file): scores[str(file)] for file in files if str(file) in scores}, broken


def score_images(
    scorer: Callable[[Tensor], Tensor],
    places: Sequence[str | Path],
    out: str | Path,
    *,
    trainer: pl.Trainer,
    batch_size: int = 32,
) -> tuple[int, int]:
    """Score image files and write a table.

    Args:
        scorer: lists its ``attributes``; its ``to_units``, where it has one, turns scores into probabilities, years, ….
        places: folders and files.
        out: CSV with a row an image: ``file``, each attribute in its units, and each score as ``NAME_score``.
        trainer: a Trainer for ``predict``.
        batch_size: images a step; changes nothing in the result.

    Returns:
        how many images were scored, and how many were broken and left out; the broken ones are named in a warning.

    Raises:
        UserError: no images, none that is whole, or scores that do not fit.
    """
    files = list_images(places)
    module = ScoreImages(scorer, files, batch_size=batch_size)
    trainer.predict(module, return_predictions=False)
    found, broken = module.collector.of_all(Ranks(trainer.global_rank, trainer.world_size), files)
    if trainer.is_global_zero:
        warn_of_broken(broken)
    if not found:
        raise UserError(f"none of the {len(broken)} images can be read")
    scores = torch.stack(list(found.values()))
    names = list(getattr(scorer, "attributes", ()))
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise UserError(f"the scorer gives {tuple(scores.shape[1:])} scores an image, its attributes are {names}")
    if trainer.is_global_zero:
        to_units = getattr(scorer, "to_units", None)
        with torch.no_grad():
            units = scores if to_units is None else to_units(scores.to(module.device)).cpu()
        write_scores(out, list(found), names, units, scores)
    return len(found), len(broken)


def write_scores(path: str | Path, files: Sequence[str], names: Sequence[str], units: Tensor, scores: Tensor) -> None:
    """Write ``file``, (N, m) values in their units, and (N, m) scores as a CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *names, *(f"{name}_score" for name in names)])
    for file, row in zip(files, torch.cat([units, scores], 1).tolist(), strict=True):
        writer.writerow([file, *(f"{value:.6g}" for value in row)])
    write_text(path, text.getvalue())
