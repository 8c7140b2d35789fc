"""The report's stage: when it is made again, and what it refuses."""

import shutil
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from tests.commands import failure


@pytest.fixture
def arguments(small_run: tuple[Path, list[str]], small_scorer: Path, tmp_path: Path) -> list[str]:
    """The command that made the run's report, for a copy of it."""
    run = Path(shutil.copytree(small_run[0], tmp_path / "run"))
    options = {"scores": run / "scores", "boundary": run / "boundary.safetensors", "out": run / "report"}
    options |= {"generator": Path("digiface-dcgan"), "scorer": small_scorer}
    return ["report", "--faces", "2", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def test_it_is_made_again_where_an_input_changed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.train(arguments)
    assert "report: up to date" in capsys.readouterr().out
    cli.train([*arguments, "--faces", "1"])
    assert "report: faces 2 -> 1; making it again" in capsys.readouterr().out


def test_another_scorer_or_generator_is_refused(
    arguments: list[str], small_scorer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = torch.load(small_scorer, weights_only=True)
    other["state_dict"]["offset"] += 1
    torch.save(other, tmp_path / "other.ckpt")
    for option, value in (("--scorer", str(tmp_path / "other.ckpt")), ("--generator", "ffhq-mobile")):
        said = failure(cli.train, capsys, *arguments, "--faces", "1", option, value)
        assert "was made with another generator or scorer" in said
        assert option[2:] in said


@pytest.mark.parametrize("faces", ["0", "-1"])
def test_a_report_needs_faces(faces: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--faces must be at least 1" in failure(cli.train, capsys, *arguments, "--faces", faces)


def test_a_store_that_is_not_there_is_named_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no score store" in failure(cli.train, capsys, "report")
    assert not list(tmp_path.iterdir())


def test_a_boundary_that_is_not_there_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = failure(cli.train, capsys, *arguments, "--boundary", "nowhere.safetensors")
    assert "no such file: nowhere.safetensors" in said
