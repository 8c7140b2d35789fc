"""The encoder stage from the command line: on one rank and on two, interrupted, and with photographs."""

import shutil
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.core.files import file_digest
from ifgan_pl.photos.encoder import load_encoder
from tests.photos.photographs import HOPPER
from tests.processes import CPU, ROOT, Job

ENCODER = ["encoder", "--pairs", "64", "--pair_batch", "4", "--photo_batch", "4", "--pair_steps", "2"]
ENCODER += ["--photo_steps", "1", *CPU, "--trainer.enable_progress_bar", "false", "--trainer.logger", "false"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps on one rank, an epoch each; its folder has the pairs for others to use."""
    folder = tmp_path_factory.mktemp("encoder")
    cli.train([*ENCODER, "--epoch_steps", "1", "--out", str(folder / "encoder.ckpt")])
    return folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in load_encoder(path).state_dict().items()}


def test_a_run_ends_in_an_encoder_that_says_what_it_saw(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= {"encoder.ckpt", "encoder.config.yaml", "pairs", "checkpoints"}
    provenance = torch.load(trained / "encoder.ckpt", weights_only=True)["provenance"]
    assert (provenance["pairs"], provenance["photographs"], provenance["pair_steps"]) == (64, 0, 2)
    assert 0 < provenance["validation"]["val/faces_distance"] < 2


def test_two_ranks_give_the_encoder_of_one(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "pairs", tmp_path / "pairs")
    printed = Job(str(ROOT / "train.py"), *ENCODER, "--out", str(tmp_path / "encoder.ckpt")).succeed()
    assert printed.count("encoder: ") == 1
    one, two = weights(trained / "encoder.ckpt"), weights(tmp_path / "encoder.ckpt")
    for name in one:
        assert (one[name] - two[name]).abs().mean() < 1e-4, name


def test_an_interrupted_run_goes_on(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "pairs", tmp_path / "pairs")
    out = ["--out", str(tmp_path / "encoder.ckpt"), "--epoch_steps", "1"]
    cli.train([*ENCODER, *out, "--trainer.max_steps", "2"])
    cli.train([*ENCODER, *out, "--resume"])
    one, two = weights(trained / "encoder.ckpt"), weights(tmp_path / "encoder.ckpt")
    for name in one:
        assert (one[name] - two[name]).abs().mean() < 1e-4, name


def test_an_encoder_can_be_trained_further(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "pairs", tmp_path / "pairs")
    start, out = trained / "encoder.ckpt", tmp_path / "encoder.ckpt"
    options = ["--start", str(start), "--pair_steps", "1", "--photo_steps", "0", "--lr", "1e-9", "--out", str(out)]
    cli.train([*ENCODER, *options])
    old, new = weights(start), weights(out)
    for name in old:
        torch.testing.assert_close(new[name], old[name], rtol=1e-3, atol=1e-5)
    provenance = torch.load(out, weights_only=True)["provenance"]
    assert provenance["start"] == file_digest(start)


def test_photographs_are_learnt_from_too(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "pairs", tmp_path / "pairs")
    (tmp_path / "party").mkdir()
    for i in range(20):
        shutil.copy(HOPPER, tmp_path / "party" / f"{i}.jpg")
    (tmp_path / "party" / "broken.jpg").write_bytes(b"\xff\xd8")
    options = ["--photos", str(tmp_path / "party"), "--pair_steps", "0", "--out", str(tmp_path / "encoder.ckpt")]
    cli.train([*ENCODER, *options])
    provenance = torch.load(tmp_path / "encoder.ckpt", weights_only=True)["provenance"]
    assert provenance["photographs"] == 20
    assert "val/photos_distance" in provenance["validation"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs", "100"], "--pairs 100 must be a multiple of 64"),
        (["--pair_batch", "3"], "--pair_batch 3 must be a multiple of twice the 1 ranks"),
        (["--resume"], "nothing to resume: no such file"),
        (["--photos", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        cli.train([*ENCODER, "--out", str(tmp_path / "encoder.ckpt"), *options])
    assert error.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
