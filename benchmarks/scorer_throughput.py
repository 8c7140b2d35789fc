"""Training throughput of the scorer on a folder of JPEGs, as a share of the same model fed from memory.

    python benchmarks/scorer_throughput.py [--images 1024] [--rounds 3] [--backbone small] [--accelerator auto]
    python benchmarks/scorer_throughput.py --jpeg [--rounds 20]

Both go through ``Trainer.fit`` with augmentation on the device, turn about in one process. The folder is decoded once
into the cache; ``with decoding`` charges that to one training of ``--epochs`` epochs. ``--jpeg`` says what share of
the augmentation its JPEG takes.
"""

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from timing import alternate, ratio
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.data import TableData
from ifgan_pl.images.read import decode
from ifgan_pl.scorer.augment import augment, jpeg
from ifgan_pl.scorer.module import FacialAttributeScorer


class InMemory(pl.LightningDataModule):
    """Batches that were made before."""

    def __init__(self, batches: list[dict[str, torch.Tensor]], targets: torch.Tensor) -> None:
        super().__init__()
        self.batches, self.targets = batches, targets

    def train_targets(self) -> torch.Tensor:
        return self.targets

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(cast("Dataset[Any]", self.batches), batch_size=None)


def write_jpegs(folder: Path, count: int, side: int) -> None:
    """Smooth random images, about as many bytes as a photograph of that size."""
    generator = np.random.default_rng(0)
    lines = ["file,smile,age"]
    for i in range(count):
        coarse = generator.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=90)
        lines.append(f"{i}.jpg,{i % 2},{i % 80}")
    (folder / "labels.csv").write_text("\n".join(lines))


def fit(model: FacialAttributeScorer, data: pl.LightningDataModule, accelerator: str) -> float:
    """Seconds of one epoch, without start and end of the Trainer."""
    clock: dict[str, float] = {}

    class Clock(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            clock["start"] = time.perf_counter()

        def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            clock["end"] = time.perf_counter()

    options: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    with tempfile.TemporaryDirectory() as root:  # the Trainer keeps checkpoints
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator=accelerator,
            devices=1,
            limit_val_batches=0,
            callbacks=[Clock()],
            default_root_dir=root,
            use_distributed_sampler=False,
            **options,
        )
        trainer.fit(model, datamodule=data)
    return clock["end"] - clock["start"]


def jpeg_cost(batch_size: int, side: int, rounds: int) -> None:
    """Print what the JPEG of the augmentation costs, on the share of a batch that it strikes, on one thread."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), batch_size, side)
        stored = torch.stack([torch.from_numpy(decode(Path(folder, f"{i}.jpg"), side)) for i in range(batch_size)])
    struck = (stored / 127.5 - 1)[: round(0.3 * batch_size)]
    quality = torch.linspace(25, 90, len(struck))
    index = torch.arange(batch_size)
    calls = {"augment": lambda: augment(stored, index, seed=0, epoch=0), "jpeg": lambda: jpeg(struck, quality)}
    times = alternate(calls, rounds)
    each = statistics.median(times["jpeg"]) / len(struck) * 1e3
    print(f"JPEG takes {each:.2f} ms an image of {side}², {ratio(times, 'jpeg', 'augment'):.2f} of the augmentation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--side", type=int, default=256, help="of the JPEGs, in pixels")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30, help="over which decoding is shared out")
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--jpeg", action="store_true", help="the share of JPEG in the augmentation instead")
    args = parser.parse_args()
    if args.jpeg:
        jpeg_cost(args.batch_size, args.image_size, args.rounds)
        return
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), args.images, args.side)
        start = time.perf_counter()
        data = TableData(
            folder,
            Path(folder, "labels.csv"),
            image_size=args.image_size,
            batch_size=args.batch_size,
            cache_dir=Path(folder, "cache"),
        )
        data.prepare_data()
        data.setup()
        decoding = time.perf_counter() - start
        memory = InMemory(list(data.train_dataloader()), data.train_targets())
        count = sum(len(batch["image"]) for batch in memory.batches)
        model = FacialAttributeScorer(data.attributes, backbone=args.backbone, image_size=args.image_size)
        fit(model, memory, args.accelerator)  # warm-up
        pairs = [(fit(model, data, args.accelerator), fit(model, memory, args.accelerator)) for _ in range(args.rounds)]
    from_folder, from_memory = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(memory_s / folder_s for folder_s, memory_s in pairs)
    share = args.epochs * from_memory / (args.epochs * from_folder + decoding)
    print(f"backbone {args.backbone} at {args.image_size}², {count} images, {torch.get_num_threads()} threads")
    print(f"decoding          {args.images / decoding:8.1f} images/s, once")
    print(f"from the folder   {count / from_folder:8.1f} images/s")
    print(f"from memory       {count / from_memory:8.1f} images/s")
    print(f"ratio             {ratio:8.3f}   (issue: >= 0.85)")
    print(f"with decoding     {share:8.3f}   over {args.epochs} epochs")


if __name__ == "__main__":
    main()
