"""What every data module of the scorer shares: a table of labels, samplers, loaders."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ifgan_pl.data.pictures import PictureArray, decode_all, default_cache_dir, open_array
from ifgan_pl.errors import UserError

log = logging.getLogger(__name__)
SPLITS = ("train", "select", "report")
"""``train`` fits the weights, ``select`` decides (early stopping, calibration), ``report`` only reports."""
SET_ASIDE = 20
"""One training row in so many is set aside for ``select`` where the data has no split for it."""


@dataclass(frozen=True)
class LabelTable:
    """Labels of pictures.

    Attributes:
        files: names of the pictures, N of them.
        targets: (N, m) float32 in the data's own units, NaN where a label is missing.
        split: (N,) of ``train``, ``select``, ``report``.
    """

    files: Sequence[str]
    targets: Tensor
    split: NDArray[np.str_]


def set_aside(split: NDArray[np.str_]) -> NDArray[np.str_]:
    """Move every twentieth training row, by position, to ``select``, unless ``select`` has rows already."""
    if (split == "select").any():
        return split
    rows = np.flatnonzero(split == "train")
    split = split.astype("<U6")
    split[rows[SET_ASIDE // 2 :: SET_ASIDE]] = "select"
    return split


class LabelledPictures(Dataset[dict[str, Tensor]]):
    """Rows of a picture array with their labels, fetched a batch at a time.

    Position -1 is padding: the first picture without any label, which no loss and no metric counts.
    """

    def __init__(self, images: NDArray[np.uint8], targets: Tensor, rows: NDArray[np.int64]) -> None:
        self.images, self.targets, self.rows = images, targets, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: Sequence[int]) -> dict[str, Tensor]:
        """``image`` (n, 3, H, W) uint8, ``target`` (n, m) float32, ``index`` (n,) int64: the row in the table."""
        where = np.asarray(positions)
        rows = self.rows[where.clip(min=0)]
        target = self.targets[rows].clone()
        target[where < 0] = torch.nan
        image = torch.from_numpy(self.images[rows])
        return {"image": image, "target": target, "index": torch.from_numpy(rows)}

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.__getitems__([position]).items()}


class EpochSampler(DistributedSampler[dict[str, Tensor]]):
    """A permutation that is a function of (seed, epoch), dealt out to ranks; what does not divide is dropped."""

    def __init__(self, count: int, *, num_replicas: int = 1, rank: int = 0, seed: int = 0) -> None:
        super().__init__(range(count), num_replicas, rank, shuffle=True, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.count = count

    def __iter__(self) -> Iterator[int]:
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, self.epoch]))
        order = generator.permutation(self.count)[: len(self) * self.num_replicas]
        return iter(order[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        return self.count // self.num_replicas


class PaddedSampler(DistributedSampler[dict[str, Tensor]]):
    """Positions in order, dealt out to ranks; short ranks are padded with -1, so that none waits for another."""

    def __init__(self, count: int, *, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(range(count), num_replicas, rank, shuffle=False)  # type: ignore[arg-type]
        self.count = count

    def __iter__(self) -> Iterator[int]:
        mine = range(self.rank, self.count, self.num_replicas)
        return iter([*mine, *[-1] * (len(self) - len(mine))])

    def __len__(self) -> int:
        return -(-self.count // self.num_replicas)


def collate(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Batches come whole from :meth:`LabelledPictures.__getitems__`."""
    return batch


class AttributeData(pl.LightningDataModule):
    """Labelled pictures, decoded once into a cache, then read from memory.

    A subclass gives ``attributes`` and :meth:`table`; :meth:`build` where its pictures are not files.

    Args:
        image_size: side in pixels at which pictures are kept.
        batch_size: pictures a step, on each rank.
        num_workers: processes that fetch batches; 0 is fastest while the cache fits in memory.
        cache_dir: where the decoded pictures go; ``None``: the user's cache directory.
        seed: of the order of training.
    """

    attributes: Mapping[str, str]

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
        self._table: LabelTable | None = None
        self._pictures: PictureArray | None = None

    def table(self) -> LabelTable:
        """Read the labels; files are paths that can be opened."""
        raise NotImplementedError

    def build(self, table: LabelTable) -> Path:
        """Make the picture array of a table if it is not in the cache; its path."""
        return decode_all([Path(file) for file in table.files], self.image_size, self.cache_dir)

    def prepare_data(self) -> None:
        """Fill the cache, on one process of each machine."""
        self.build(self.table())

    def setup(self, stage: str | None = None) -> None:
        """Read the labels and open the cache."""
        if self._table is None:
            table = self.table()
            self._pictures = open_array(self.build(table))
            self._table = table

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of the table in a split whose picture is whole and that have a label."""
        table, pictures = self._ready()
        labelled = (~table.targets.isnan()).any(1).numpy()
        return np.flatnonzero((table.split == split) & pictures.good & labelled)

    def train_targets(self) -> Tensor:
        """(n, m) labels of the training rows, from which a scorer takes means and frequencies."""
        table, _ = self._ready()
        rows = self.rows("train")
        if not len(rows):
            raise UserError("no training row is left: no whole picture has a label")
        return table.targets[rows]

    def _ready(self) -> tuple[LabelTable, PictureArray]:
        self.setup()
        assert self._table is not None
        assert self._pictures is not None
        return self._table, self._pictures

    def _loader(self, split: str) -> DataLoader[dict[str, Tensor]]:
        table, pictures = self._ready()
        data = LabelledPictures(pictures.images, table.targets, self.rows(split))
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
            self.batch_size,
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
