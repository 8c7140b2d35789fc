"""Progress where nobody sees a bar move: the log of a cluster's job."""

import re
from pathlib import Path

import pytest

from ifgan_pl import cli
from ifgan_pl.core import progress
from tests.scorer.toys import make_data, make_model, make_trainer


def test_a_log_gets_lines_with_rate_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    arguments = ["score", "--generator", "digiface-dcgan", "--truncation", "1", "--num", "6", "--batch_size", "2"]
    cli.train([*arguments, "--out", str(tmp_path), "--trainer.accelerator", "cpu"])
    found = re.findall(
        r"^scoring faces: (\d)/6, [\d.]+(?:/s| s each), (\d+:\d\d:\d\d) left$", capsys.readouterr().out, re.MULTILINE
    )
    assert [done for done, _ in found] == ["2", "4", "6"]
    assert found[-1][1] == "0:00:00"


def test_a_fit_says_its_steps_in_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    trainer = make_trainer(tmp_path, 2, enable_progress_bar=True)
    trainer.fit(make_model(), datamodule=make_data(tmp_path / "data"))
    lines = re.findall(
        r"^training: (\d+)/10, [\d.]+(?:/s| s each), \d:\d\d:\d\d left$", capsys.readouterr().out, re.MULTILINE
    )
    assert [int(done) for done in lines] == list(range(1, 11))


def test_slow_work_is_told_in_seconds_and_parts_of_a_sample_add_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert progress.progress_line("inverting faces", 2.5, 4, 75) == "inverting faces: 2/4, 30.0 s each, 0:00:45 left"
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with progress.CountBar("inverting", 1) as bar:
        for _ in range(97):
            bar.advance(1 / 97)
    assert "inverting: 1/1, " in capsys.readouterr().out
