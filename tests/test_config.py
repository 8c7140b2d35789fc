"""The options that each run leaves beside its result, given back as ``--config``."""

from pathlib import Path

import numpy as np
import yaml

from ifgan_pl import cli
from tests.commands import contents, small_edit
from tests.processes import CPU, SCORE


def test_a_store_is_made_again(tmp_path: Path) -> None:
    callback = "--trainer.callbacks+=LearningRateMonitor"
    cli.train([*SCORE, "--num", "20", "--seed", "5", "--out", str(tmp_path / "a"), *CPU, callback])
    options = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    assert options["trainer"]["accelerator"] == "cpu"
    (given,) = options["trainer"]["callbacks"]
    assert given["class_path"] == "pytorch_lightning.callbacks.LearningRateMonitor"
    assert options["trainer"].keys() == {"accelerator", "callbacks"}  # what nobody gave is left out
    assert (options["seed"], options["num"], options["pictures"]) == (5, 20, False)
    cli.train(["score", "--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b")])
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
    again = yaml.safe_load((tmp_path / "b" / "config.yaml").read_text())
    assert again == options | {"out": str(tmp_path / "b")}


def test_a_boundary_is_made_again(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).standard_normal((400, 20)).astype(np.float32)
    np.save(tmp_path / "w.npy", codes)
    np.save(tmp_path / "smile_scores.npy", codes[:, :1])
    command = ["boundary", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "smile_scores.npy")]
    cli.train([*command, "--l2", '{"smile": 0.5}', "--solver", "logistic", "--out", str(tmp_path / "a.safetensors")])
    config = tmp_path / "a.config.yaml"
    assert yaml.safe_load(config.read_text())["l2"] == {"smile": 0.5}
    cli.train(["boundary", "--config", str(config), "--out", str(tmp_path / "b.safetensors")])
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_images_are_scored_again(tmp_path: Path) -> None:
    cli.train([*SCORE, "--num", "3", "--pictures", "--out", str(tmp_path / "s"), *CPU])
    cli.train(["score", "--images", str(tmp_path / "s" / "pictures"), "--out", str(tmp_path / "a.csv"), *CPU])
    cli.train(["score", "--config", str(tmp_path / "a.config.yaml"), "--out", str(tmp_path / "b.csv")])
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_an_edit_is_made_again_and_resumed_all_the_same(tmp_path: Path) -> None:
    command = [*small_edit(tmp_path), "--edit", "c=+1", "a/b=-2", "--seeds", "0-2", "--out", str(tmp_path / "a")]
    cli.edit(command)
    config = (tmp_path / "a" / "config.yaml").read_text()
    cli.edit([*command, "--resume"])
    assert (tmp_path / "a" / "config.yaml").read_text() == config
    cli.edit(["--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b")])
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
