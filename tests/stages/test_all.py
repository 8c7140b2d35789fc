"""``train.py`` without a stage: whatever is not up to date."""

import shutil
from pathlib import Path

import pytest
import yaml

from ifgan_pl import cli
from tests.commands import contents


@pytest.fixture
def copied(small_run: tuple[Path, list[str]], tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of a run, and the command that made it, for the copy."""
    folder = Path(shutil.copytree(small_run[0], tmp_path / "run"))
    return folder, [*small_run[1], "--out", str(folder)]


def test_every_stage_leaves_its_files_and_is_up_to_date_afterwards(
    copied: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, arguments = copied
    before = contents(folder)
    cli.train(arguments)
    printed = capsys.readouterr().out
    assert all(f"{stage}: up to date" in printed for stage in ("score", "boundary", "report"))
    after = contents(folder)
    assert {"scores/manifest.json", "boundary.safetensors", "report/index.html", "report/report.json"} <= set(after)
    assert after == before


def test_what_is_missing_is_made_again_and_what_follows_from_it(
    copied: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, arguments = copied
    before = contents(folder)
    (folder / "boundary.safetensors").unlink()
    shutil.rmtree(folder / "report")
    cli.train(arguments)
    assert "score: up to date" in capsys.readouterr().out
    after = contents(folder)
    assert after["boundary.safetensors"] == before["boundary.safetensors"]
    assert after["report/report.json"] == before["report/report.json"]


def test_each_command_leaves_its_options_where_those_of_the_others_are_not(
    copied: tuple[Path, list[str]], small_scorer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, arguments = copied
    cli.train(arguments)
    store, boundary = ["--scores", str(folder / "scores")], str(folder / "boundary.safetensors")
    cli.train(["boundary", *store, "--out", boundary])
    made_with = ["--generator", "digiface-dcgan", "--scorer", str(small_scorer), "--faces", "2"]
    cli.train(["report", *made_with, *store, "--boundary", boundary, "--out", str(folder / "report")])
    capsys.readouterr()
    cli.train(["--config", str(folder / "config.yaml")])
    assert capsys.readouterr().out.count(": up to date") == 4
    names = ("config.yaml", "report/config.yaml", "boundary.config.yaml")
    options = [yaml.safe_load((folder / name).read_text()) for name in names]
    assert [("num" in given, "faces" in given, "l2" in given) for given in options] == [
        (True, True, False),
        (False, True, False),
        (False, False, True),
    ]
    cli.train(["--config", str(folder / "config.yaml"), "--faces", "1"])
    said = capsys.readouterr().out
    assert "boundary: up to date" in said
    assert "report: faces 2 -> 1; making it again" in said
