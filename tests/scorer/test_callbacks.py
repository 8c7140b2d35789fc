"""What ``--trainer.callbacks`` and ``--trainer.logger`` name is used; what they leave open is filled in."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from pytorch_lightning.callbacks import WeightAveraging as Averaging

from ifgan_pl import cli
from ifgan_pl.core.checkpoint_io import AtomicCheckpointIO
from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.training import last_checkpoint, scorer_trainer
from tests.commands import failure
from tests.processes import CPU
from tests.scorer.toys import Witness, write_toy_config

MINE = """
trainer:
  callbacks:
    - class_path: tests.scorer.toys.Witness
    - class_path: pytorch_lightning.callbacks.ModelCheckpoint
      init_args: {dirpath: FOLDER/mine, monitor: val/loss, save_last: true, filename: best}
    - class_path: pytorch_lightning.callbacks.EarlyStopping
      init_args: {monitor: val/loss, patience: 7}
    - class_path: pytorch_lightning.callbacks.EMAWeightAveraging
      init_args: {decay: 0.5}
  logger:
    - class_path: pytorch_lightning.loggers.CSVLogger
      init_args: {save_dir: FOLDER/logs, name: mine}
"""


def only(callbacks: list[Any], kind: type) -> Any:
    """The one callback of a kind."""
    (found,) = [c for c in callbacks if isinstance(c, kind)]
    return found


def test_the_user_s_take_the_place_of_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(MINE.replace("FOLDER", str(tmp_path)))
    out = tmp_path / "run" / "s.ckpt"
    command = ["scorer", "--config", str(write_toy_config(tmp_path)), "--config", str(tmp_path / "mine.yaml")]
    command += ["--out", str(out), "--patience", "2", *CPU, "--trainer.max_epochs", "2"]
    cli.train(command)
    callbacks = Witness.saw.callbacks
    checkpoint = only(callbacks, ModelCheckpoint)
    assert checkpoint.filename == "best"
    assert only(callbacks, EarlyStopping).patience == 7
    assert only(callbacks, Averaging)._kwargs["avg_fn"](torch.zeros(1), torch.ones(1), 1) == 0.5
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (tmp_path / "logs" / "mine" / "version_0" / "metrics.csv").is_file()
    assert sorted(path.name for path in out.parent.iterdir() if path.suffix != ".yaml") == ["s.ckpt", "s.json"]
    head = torch.load(tmp_path / "mine" / "best.ckpt", weights_only=True)["state_dict"]["head.weight"]
    assert torch.equal(torch.load(out, weights_only=True)["state_dict"]["head.weight"], head)
    cli.train([*command[:-1], "3", "--resume"])  # finds the user's last.ckpt
    assert torch.load(out.parents[1] / "mine" / "last.ckpt", weights_only=True)["global_step"] == 15
    for path in (tmp_path / "mine").iterdir():
        path.unlink()
    message = f"nothing to resume: no such file: {tmp_path / 'mine' / 'last.ckpt'}"
    assert message in failure(cli.train, capsys, *command, "--resume")


def test_the_defaults_are_one_of_each_kind(tmp_path: Path) -> None:
    trainer = scorer_trainer({"accelerator": "cpu", "callbacks": None}, tmp_path, ema=0.9, patience=4)
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    checkpoint = only(callbacks, ModelCheckpoint)
    assert (checkpoint.dirpath, checkpoint.monitor) == (str(tmp_path.resolve() / "checkpoints"), "val/loss")
    assert only(callbacks, EarlyStopping).patience == 4
    only(callbacks, EMAWeightAveraging)
    only(callbacks, RichProgressBar)
    assert [Path(str(logger.save_dir)) for logger in trainer.loggers] == [tmp_path, tmp_path]
    assert isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO)


def test_checkpoints_follow_what_stops_the_training(tmp_path: Path) -> None:
    stopping = EarlyStopping("val/auroc/light", mode="max")
    flags: dict[str, Any] = {"accelerator": "cpu", "logger": False}
    trainer = scorer_trainer(flags | {"callbacks": stopping}, tmp_path, ema=0, patience=4)
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    assert only(callbacks, EarlyStopping) is stopping
    checkpoint = only(callbacks, ModelCheckpoint)
    assert (checkpoint.monitor, checkpoint.mode) == ("val/auroc/light", "max")
    assert not [c for c in callbacks if isinstance(c, Averaging)]
    mine = ModelCheckpoint()
    trainer = scorer_trainer(flags | {"callbacks": [mine]}, tmp_path)
    assert only(trainer.callbacks, ModelCheckpoint) is mine  # type: ignore[attr-defined]
    assert mine.dirpath == str(tmp_path.resolve() / "checkpoints")
    with pytest.raises(UserError, match=r"no such file: .*last\.ckpt; it is written by .* save_last: true"):
        last_checkpoint(trainer)
    trainer = scorer_trainer(flags | {"enable_checkpointing": False}, tmp_path)
    assert not trainer.checkpoint_callbacks
    with pytest.raises(UserError, match="nothing to resume"):
        last_checkpoint(trainer)


def test_flags_that_the_trainer_refuses_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["scorer", "--config", str(write_toy_config(tmp_path)), "--out", str(tmp_path / "s.ckpt"), *CPU]
    assert "the Trainer refuses its flags:" in failure(cli.train, capsys, *command, "--trainer.strategy", "nonsense")


def test_a_printed_config_trains_the_same_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_toy_config(tmp_path)
    command = ["scorer", "--config", str(config), "--seed", "3", "--trainer.max_epochs", "1", *CPU]
    with pytest.raises(SystemExit):
        cli.train([*command, "--out", str(tmp_path / "two" / "s.ckpt"), "--print_config"])
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    cli.train([*command, "--out", str(tmp_path / "one" / "s.ckpt")])
    cli.train(["scorer", "--config", str(tmp_path / "config.yaml")])
    one, two = (torch.load(tmp_path / name / "s.ckpt", weights_only=True) for name in ("one", "two"))
    assert one["hyper_parameters"] == two["hyper_parameters"]
    for name, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][name]), name
    metrics = [json.loads((tmp_path / name / "s.json").read_text()) for name in ("one", "two")]
    assert str(metrics[0]) == str(metrics[1])  # NaN where labels of one class only report
