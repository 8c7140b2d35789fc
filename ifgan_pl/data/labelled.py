"""What every data module of the scorer shares: a table of labels, a cache of images, loaders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import cache_dir as default_cache_dir
from ifgan_pl.data.cache import decode_all, open_array
from ifgan_pl.data.samplers import EpochSampler, PaddedSampler

SET_ASIDE, FIRST_SET_ASIDE = 20, 7
"""One training row in twenty is set aside for ``select``, from the eighth on, where the data has no split for it."""


@dataclass(frozen=True)
class LabelTable:
    """Labels of images.

    Attributes:
        attributes: name -> ``binary`` or ``continuous``, in the order of the columns; m of them.
        files: names of the images, N of them.
        targets: (N, m) float32 in the data's own units, NaN where a label is missing.
        split: (N,) of ``train`` (fits the weights), ``select`` (decides: early stopping, calibration), ``report``
            (only reports) and ``unused``.
    """

    attributes: Mapping[str, str]
    files: Sequence[str]
    targets: Tensor
    split: NDArray[np.str_]


def set_aside(split: NDArray[np.str_]) -> NDArray[np.str_]:
    """Move every twentieth training row, by position, to ``select``, unless ``select`` has rows already."""
    if (split == "select").any():
        return split
    rows = np.flatnonzero(split == "train")
    split = split.astype("<U6")
    split[rows[FIRST_SET_ASIDE::SET_ASIDE]] = "select"
    return split


class LabelledImages(Dataset[dict[str, Tensor]]):
    """Rows of image arrays with their labels, fetched a batch at a time.

    Position -1 is padding: the first image, without any label and with index -1.

    Args:
        images: arrays (n_k, 3, H, W) uint8, numbered through: the rows of the second follow those of the first.
        targets: (Σ n_k, m) float32.
        rows: (len,) the rows that belong to the data set.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]], targets: Tensor, rows: NDArray[np.int64]) -> None:
        self.images, self.targets, self.rows = images, targets, rows
        self.starts = np.cumsum([0, *(len(part) for part in images)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: Sequence[int]) -> dict[str, Tensor]:
        """``image`` (n, 3, H, W) uint8, ``target`` (n, m) float32, ``index`` (n,) int64: the row, -1 for padding."""
        where = np.asarray(positions)
        rows = self.rows[where.clip(min=0)]
        target = self.targets[rows].clone()
        target[where < 0] = torch.nan
        image = np.empty((len(rows), *self.images[0].shape[1:]), np.uint8)
        parts = np.searchsorted(self.starts, rows, side="right") - 1
        for part in np.unique(parts):
            image[parts == part] = self.images[part][rows[parts == part] - self.starts[part]]
        index = torch.from_numpy(np.where(where < 0, -1, rows))
        return {"image": torch.from_numpy(image), "target": target, "index": index}

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.__getitems__([position]).items()}


def collate(batch: Any) -> Any:
    """Batches come whole from :meth:`LabelledImages.__getitems__`."""
    return batch


class AttributeData(pl.LightningDataModule):
    """Labelled images, decoded once into a cache, then read from memory.

    A subclass gives :meth:`read`, and :meth:`build` where its images are not files. Its ``__init__`` reads nothing:
    labels are read when the first of ``attributes``, :meth:`prepare_data` and :meth:`setup` asks for them.

    Args:
        image_size: side in pixels at which images are kept.
        batch_size: images a step, on each rank.
        num_workers: processes that fetch batches; 0 is fastest while the cache fits in memory.
        cache_dir: where the decoded images go; ``None``: the user's cache directory.
        seed: of the order of training.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        batch_size: int = 64,
        num_workers: int = 0,
        cache_dir: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.image_size, self.batch_size, self.num_workers, self.seed = image_size, batch_size, num_workers, seed
        self.cache_dir = Path(cache_dir) if cache_dir else default_cache_dir()
        self._labels: LabelTable | None = None
        self._images: list[NDArray[np.uint8]] = []

    def read(self) -> LabelTable:
        """Read the labels, but no image; ``files`` are paths that can be opened."""
        raise NotImplementedError

    @cached_property
    def table(self) -> LabelTable:
        """What :meth:`read` gives, read once."""
        return self.read()

    @property
    def attributes(self) -> Mapping[str, str]:
        """Name -> ``binary`` or ``continuous``, in the order of the labels; reads them."""
        return self.table.attributes

    def build(self) -> list[Path]:
        """Make the image arrays that are not in the cache, once :attr:`table` is read; their paths, in its order."""
        return [decode_all([Path(file) for file in self.table.files], self.image_size, self.cache_dir)]

    def prepare_data(self) -> None:
        """Fill the cache, on one process of each machine."""
        _ = self.table  # labels that cannot be used are refused before any image is made
        self.build()

    def setup(self, stage: str | None = None) -> None:
        """Read the labels and open the cache; labels of broken images are forgotten."""
        if self._labels is None:
            table = self.table
            opened = [open_array(path) for path in self.build()]
            broken = torch.from_numpy(~np.concatenate([whole for _, whole in opened]))
            targets = table.targets.masked_fill(broken[:, None], torch.nan)
            self._labels, self._images = replace(table, targets=targets), [images for images, _ in opened]

    @property
    def labels(self) -> LabelTable:
        """The table without the labels of broken images; sets the module up."""
        self.setup()
        assert self._labels is not None
        return self._labels

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of a split that have a label and a whole image."""
        labelled = (~self.labels.targets.isnan()).any(1).numpy()
        return np.flatnonzero((self.labels.split == split) & labelled)

    def train_targets(self) -> Tensor:
        """(n, m) labels of the training rows, from which a scorer takes means and frequencies."""
        rows = self.rows("train")
        if not len(rows):
            raise UserError("no row is left to train on: none has a label and a whole image")
        return self.labels.targets[rows]

    def _loader(self, split: str) -> DataLoader[dict[str, Tensor]]:
        self.setup()
        data = LabelledImages(self._images, self.labels.targets, self.rows(split))
        trainer = self.trainer
        ranks, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        training = split == "train"
        sampler: EpochSampler | PaddedSampler
        if training:
            sampler = EpochSampler(len(data), num_replicas=ranks, rank=rank, seed=self.seed)
        else:
            sampler = PaddedSampler(len(data), num_replicas=ranks, rank=rank)
        return DataLoader(
            data,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=training and len(sampler) >= self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The training rows, in an order that is a function of (seed, epoch)."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The rows set aside for selection and calibration."""
        return self._loader("select")

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The rows that only report."""
        return self._loader("report")

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The rows that only report."""
        return self._loader("report")
