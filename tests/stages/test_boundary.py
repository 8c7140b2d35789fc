"""What ``train.py boundary`` does with files from elsewhere."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from ifgan_pl import cli
from tests.commands import contents, failure, file_size_limit
from tests.processes import CPU


def test_boundaries_from_files_of_the_original(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((400, 20)).astype(np.float32)
    np.save(tmp_path / "w.npy", codes)
    np.save(tmp_path / "smile_scores.npy", codes[:, :1] * 2 + 0.1)
    arguments = ["boundary", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "smile_scores.npy")]
    arguments += ["--out", str(tmp_path / "b.safetensors")]
    cli.train(arguments)
    assert "smile from 400 codes" in capsys.readouterr().out
    cli.train(arguments)
    assert "up to date" in capsys.readouterr().out
    cli.train([*arguments, "--seed", "1"])
    assert "seed 0 -> 1" in capsys.readouterr().out


def test_an_attribute_that_cannot_be_fitted_is_one_line_and_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = np.random.default_rng(0).standard_normal((400, 20)).astype(np.float32)
    np.save(tmp_path / "w.npy", codes)
    rows = [f"{code[0]},3,{int(i < 4)}" for i, code in enumerate(codes)]
    (tmp_path / "labels.csv").write_text("\n".join(["smile,flat,few", *rows]))
    arguments = ["boundary", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "labels.csv")]
    with pytest.warns(UserWarning, match=r"either|differ") as warned:
        cli.train([*arguments, "--out", str(tmp_path / "b.safetensors")])
    assert "boundary: smile from 400 codes" in capsys.readouterr().out
    assert [warnings.formatwarning(w.message, w.category, w.filename, w.lineno) for w in warned] == [
        "warning: flat: all 400 scores are 3; a boundary needs scores that differ\n",
        "warning: few: 4 of 400 scores lie above 0.5 and 396 below; either class needs 10 samples\n",
    ]


def test_a_full_disk_is_one_line_and_leaves_the_boundary_that_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = np.random.default_rng(0).standard_normal((400, 200)).astype(np.float32)
    np.save(tmp_path / "w.npy", codes)
    np.save(tmp_path / "smile_scores.npy", codes[:, :1])
    command = ["boundary", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "smile_scores.npy")]
    command += ["--out", str(tmp_path / "b" / "b.safetensors"), *CPU]
    cli.train(command)
    before = contents(tmp_path / "b")
    with file_size_limit(4):
        line = failure(cli.train, capsys, *command, "--l2", "3")
    assert "b.safetensors cannot be written: the limit of a file's size is reached; make room" in line
    assert contents(tmp_path / "b") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--batch_size", "0"), "--batch_size must be at least 1, got 0"),
        (("--loss", "hinge"), "--loss goes with --solver sgd"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in failure(cli.train, capsys, "boundary", "--out", str(tmp_path / "b.safetensors"), *options)
