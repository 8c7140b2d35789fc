"""A scorer, labelled images and a Trainer small enough for a test."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from PIL import Image

from ifgan_pl.data.table import TableData
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scorer.training import scorer_trainer

KINDS = {"light": "binary", "level": "continuous", "yaw": "continuous"}


def write_data(folder: Path, count: int = 61) -> tuple[Path, Path]:
    """Images that say what they are: grey level, and which half is brighter (yaw)."""
    folder.mkdir(exist_ok=True)
    lines = ["file,split,light,level,yaw"]
    generator = torch.Generator().manual_seed(0)
    for i in range(count):
        level = 40 + float(torch.rand(1, generator=generator)) * 150
        yaw = float(torch.rand(1, generator=generator)) * 2 - 1
        row = torch.linspace(-30 * yaw, 30 * yaw, 32) + level
        noise = 5 * torch.randn(32, 32, generator=generator)
        image = (row.expand(32, 32) + noise).clamp(0, 255).byte()
        Image.fromarray(image.numpy()).convert("RGB").save(folder / f"{i:03d}.png")
        light = "" if i % 9 == 0 else str(int(level > 115))
        lines.append(f"{i:03d}.png,{'val' if i % 4 == 1 else 'train'},{light},{level:.2f},{yaw:.3f}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder, folder / "labels.csv"


def make_data(folder: Path, **changes: Any) -> TableData:
    """What :func:`write_data` writes, written once: ranks that start together read the same files."""
    if not (folder / "labels.csv").exists():
        write_data(folder)
    options: dict[str, Any] = {"image_size": 32, "batch_size": 8, "cache_dir": folder / "cache"} | changes
    return TableData(folder, folder / "labels.csv", **options)


def make_model(**changes: Any) -> FacialAttributeScorer:
    """Untrained; the statistics of its labels are known."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"backbone": "small8", "image_size": 32, "augmentation": 0.3, "lr": 5e-3}
    model = FacialAttributeScorer(KINDS, **(options | changes))
    model.take_label_statistics(torch.tensor([[0.0, 50.0, -1.0], [1.0, 150.0, 1.0]]))
    return model


def make_trainer(
    folder: Path, epochs: int, *, ema: float = 0.8, patience: int | None = None, **flags: Any
) -> pl.Trainer:
    """On one CPU, without logs."""
    options: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    options |= {"enable_model_summary": False, "max_epochs": epochs}
    return scorer_trainer(options | flags, folder, ema=ema, patience=patience)


def write_toy_config(folder: Path) -> Path:
    """A YAML of ``train.py scorer`` for the images of :func:`write_data`."""
    images, table = write_data(folder / "data")
    data = {"images": str(images), "table": str(table), "image_size": 32, "batch_size": 8}
    data["cache_dir"] = str(folder / "cache")
    config = {
        "data": {"class_path": "ifgan_pl.data.TableData", "init_args": data},
        "backbone": "small8",
        "image_size": 32,
        "ema": 0.8,
        "trainer": {"enable_progress_bar": False, "enable_model_summary": False},
    }
    (folder / "toy.yaml").write_text(json.dumps(config))
    return folder / "toy.yaml"


class Witness(pl.Callback):
    """Keeps the Trainer that fits, for a test that gives it by its import path."""

    saw: ClassVar[Any] = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        Witness.saw = trainer


def only(callbacks: list[Any], kind: type) -> Any:
    """The one callback of a kind."""
    (found,) = [c for c in callbacks if isinstance(c, kind)]
    return found


def save_model(model: FacialAttributeScorer, path: Path) -> None:
    """The checkpoint of a model that no Trainer has seen."""
    trainer = make_trainer(path.parent, 1)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path, weights_only=True)
