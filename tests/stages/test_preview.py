"""The preview stage from the command line, on one rank and on two."""

from pathlib import Path

import torch

from ifgan_pl import cli
from ifgan_pl.core.files import load_tensors
from tests.processes import CPU, ROOT, Job

PREVIEW = ["preview", "--steps", "2", "--batch_size", "2", *CPU, "--trainer.enable_progress_bar", "false"]
PREVIEW += ["--trainer.limit_val_batches", "1"]


def test_two_ranks_write_the_file_of_one(tmp_path: Path) -> None:
    cli.train([*PREVIEW, "--out", str(tmp_path / "one.safetensors")])
    printed = Job(str(ROOT / "train.py"), *PREVIEW, "--out", str(tmp_path / "two" / "two.safetensors")).succeed()
    assert printed.count("preview: ") == 1
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"two.safetensors", "two.config.yaml"}
    (one, about_one), (two, about_two) = (
        load_tensors(tmp_path / f) for f in ("one.safetensors", "two/two.safetensors")
    )
    assert about_one["preview"]["trained_on"] == about_two["preview"]["trained_on"] == "4 faces of seed 1"
    assert abs(about_one["preview"]["validation_psnr_db"] - about_two["preview"]["validation_psnr_db"]) < 0.1
    assert one.keys() == two.keys()
    for name in one:
        assert (two[name].float() - one[name].float()).abs().mean() < 1e-4, name  # half the faces: 1.4e-3


def test_loggers_and_callbacks_of_the_user_reach_the_trainer(tmp_path: Path) -> None:
    flags = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path)]
    flags += ["--trainer.logger.name", "log", "--trainer.log_every_n_steps", "1"]
    flags += ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath", str(tmp_path / "checkpoints")]
    cli.train([*PREVIEW, "--out", str(tmp_path / "out.safetensors"), *flags])
    assert "train/l1" in next((tmp_path / "log").rglob("metrics.csv")).read_text()
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert state
    assert all(name.startswith("head.") for name in state)
