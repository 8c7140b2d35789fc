"""The user's callbacks and loggers in commands that predict."""

from pathlib import Path
from typing import ClassVar

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger

from ifgan_pl import cli
from ifgan_pl.core.progress import SampleProgress
from ifgan_pl.stages.trainer import make_trainer
from tests.commands import small_edit
from tests.processes import CPU, SCORE


class Recorder(pl.Callback):
    """Notes the Trainer that it was given to."""

    trainers: ClassVar[list[pl.Trainer]] = []

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trainers.append(trainer)


FLAGS = ["--trainer.callbacks+=tests.stages.test_trainer.Recorder", "--trainer.callbacks+=ModelCheckpoint", *CPU]


@pytest.mark.parametrize("command", ["score", "edit", "images"])
def test_callbacks_and_loggers_of_the_user_reach_the_command(tmp_path: Path, command: str) -> None:
    flags = [*FLAGS, "--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={tmp_path}"]
    Recorder.trainers.clear()
    if command == "score":
        cli.train([*SCORE, "--num", "4", "--out", str(tmp_path / "s"), *flags])
    elif command == "edit":
        cli.edit([*small_edit(tmp_path), "--edit", "c=1", "--seeds", "0", "--out", str(tmp_path / "e"), *flags])
    else:
        cli.train([*SCORE, "--num", "2", "--pictures", "--out", str(tmp_path / "s"), *CPU])
        cli.train(["score", "--images", str(tmp_path / "s" / "pictures"), "--out", str(tmp_path / "t.csv"), *flags])
    (trainer,) = Recorder.trainers
    kinds = [type(callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    assert kinds.count(SampleProgress) == kinds.count(ModelCheckpoint) == 1
    assert [type(logger) for logger in trainer.loggers] == [CSVLogger]


def test_a_progress_bar_of_the_user_takes_the_place_of_ours() -> None:
    def bars(**flags: object) -> list[type]:
        callbacks = make_trainer({"accelerator": "cpu", **flags}, "scoring faces").callbacks  # type: ignore[attr-defined]
        return [type(c) for c in callbacks if isinstance(c, ProgressBar | SampleProgress)]

    assert bars(callbacks=[TQDMProgressBar()]) == [TQDMProgressBar]
    assert bars(callbacks=Recorder()) == bars() == [SampleProgress]
    assert bars(enable_progress_bar=False) == []


def test_without_flags_nothing_is_logged_and_no_checkpoint_is_saved() -> None:
    trainer = make_trainer({"accelerator": "cpu"}, "scoring faces")
    assert not trainer.loggers
    assert not trainer.checkpoint_callbacks
