"""What ``train.py report`` refuses; what is in a report is tested in ``tests/report``."""

from pathlib import Path

import pytest

from ifgan_pl import cli
from tests.commands import failure
from tests.processes import CPU, SCORE


def test_the_store_must_be_of_that_generator_and_scorer(
    small_scorer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, boundary = str(tmp_path / "s"), str(tmp_path / "b.safetensors")
    cli.train([*SCORE, "--num", "300", "--scorer", str(small_scorer), "--out", store, *CPU])
    out = tmp_path / "report"
    arguments = ["report", "--scores", store, "--boundary", boundary, "--out", str(out)]
    arguments += ["--generator", "digiface-dcgan"]
    assert "no such file: " in failure(cli.train, capsys, *arguments)
    cli.train(["boundary", "--scores", store, "--out", boundary])
    refused = failure(cli.train, capsys, *arguments)
    assert "was made with another generator or scorer (scorer " in refused
    assert not out.exists()
