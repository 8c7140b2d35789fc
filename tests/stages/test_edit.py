"""What ``edit.py`` does."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.images.write import read_provenance
from tests.commands import contents, failure, file_size_limit, small_edit
from tests.generators.cases import stylegan2_ffhq
from tests.processes import CPU, ROOT, Job


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--attribute"),
        (["--attribute", "freckles"], "unknown attribute"),
        (["--attribute", "smile", "--hold", "smile"], "both edited and held"),
        (["--attribute", "smile", "--seeds", "a-b"], "0-15,40"),
        (["--attribute", "smile", "--latents", "nan.npy"], "NaN"),
        (["--attribute", "smile", "--resolution", "300"], "divide 1024"),
        (["--attribute", "smile", "--generator", "digiface-dcgan", "--boundary", "ffhq-mobile-w"], "latent spaces"),
        (["--attribute", "smile", "--out", "full"], "not empty"),
        (["--attribute", "smile", "--format", "bmp"], "--format: unknown 'bmp'; known: png, jpg, gif"),
        (["--attribute", "smile", "--batch_size", "0"], "--batch_size"),
        (["--attribute", "smile", "--layers", "x"], "0-15,40"),
        (["--attribute", "smile", "--layers", "0-16"], "rows of W+, 0 to 15"),
        (["--attribute", "smile", "--unit", "sigma"], "std, latent"),
        (["--attribute", "smile", "--mode", "at"], "shift, to"),
        (["--edit", "smile=nan"], "finite"),
        (["--attribute", "smile", "--range", "a", "b"], "--range: a number expected, got 'a'"),
        (["--attribute", "smile", "--range", "1"], "--range: 2 values expected"),
        (["--attribute", "smile", "--range", "0", ".inf"], "--range: two finite numbers expected"),
        (["--attribute", "smile", "--steps", "1.5"], "--steps: a whole number expected, got '1.5'"),
        (["--attribute", "smile", "--truncation", "3"], "--truncation is psi, from 0 to 1; got 3"),
        (["--attribute", "smile", "--truncation", ".nan"], "from 0 to 1"),
        (["--attribute", "smile", "--resume", "3"], "unknown: 3"),
        (["--attribute", "smile", "--trainer.accelerator", "tpu"], "Trainer refuses"),
        (
            ["--attribute", "twin", "--boundary", "twins.safetensors", "--hold", "all", "--unit", "latent"],
            "depend on each other",
        ),
        (["--attribute", "smile", "--generator", "digiface-dcgan"], "no boundary ships"),
    ],
)
def test_mistakes_in_editing_are_one_line_and_write_nothing(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("nan.npy", np.full((2, 512), np.nan, dtype=np.float32))
    twins = LinearBoundary(torch.eye(512)[[0, 0]], attributes=["twin", "other"], space="w", metric="identity")
    twins.save("twins.safetensors")
    Path("full").mkdir()
    Path("full/file").touch()
    assert expected in failure(cli.edit, capsys, *arguments)
    assert not Path("results").exists()


def test_an_edit_writes_every_format_with_its_provenance(tmp_path: Path) -> None:
    out = tmp_path / "edits"
    formats = ["png", "jpg", "gif", "webp", "mp4", "strip", "grid", "html"]
    arguments = ["--edit", "smile=+2", "--hold", "all", "--seeds", "3", "--resolution", "128", "--out", str(out), *CPU]
    cli.edit([*arguments, "--scorer", "scorer-faces", "--format", *formats])
    names = set(contents(out))
    faces = {f"000003_{c}.{s}" for c in ("original", "smile+2") for s in ("png", "jpg")}
    faces |= {f"000003.{s}" for s in formats if s in ("gif", "webp", "mp4")} | {"gallery/000003.jpg"}
    sheets = {"strip.png", "grid_original.png", "grid_smile+2.png", "index.html"}
    assert names == faces | sheets | {"edits.csv", "provenance.json"}
    for name in faces | sheets:
        about = read_provenance(out / name)
        assert about["generator"] == "ffhq-mobile"
        assert about["index"] == ([3] if name in sheets else 3)
        assert {"boundary", "seed", "edit", "truncation", "version", "hold"} <= set(about)
    assert read_provenance(out / "000003_smile+2.png")["edit"] == {"smile": 2.0}
    assert read_provenance(out / "000003.gif")["edit"] == [{}, {"smile": 2.0}]
    assert json.loads((out / "provenance.json").read_text())["generator"] == "ffhq-mobile"
    with open(out / "edits.csv") as file:
        before, after = csv.DictReader(file)
    assert (before["file"], after["file"]) == ("000003_original.png", "000003_smile+2.png")
    assert float(after["before_smile"]) == float(before["after_smile"])
    assert float(after["after_smile"]) > float(after["before_smile"]) + 1


def test_layers_are_said_to_void_the_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--edit", "smile=1", "--seeds", "0", "--resolution", "128", "--format", "jpg", *CPU]
    np.save(tmp_path / "wp.npy", np.zeros((1, 18, 512), dtype=np.float32))
    cli.edit([*arguments, "--layers", "0-7", "--latents", str(tmp_path / "wp.npy"), "--out", str(tmp_path / "e")])
    assert "no longer apply" in capsys.readouterr().out
    assert read_provenance(tmp_path / "e" / "000000_smile+1.jpg")["layers"] == list(range(8))


def test_a_boundary_serves_a_generator_of_the_same_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ffhq-mobile's mapping network in front of a StyleGAN2 of 8 pixels stands for NVIDIA's file."""
    formats.save(stylegan2_ffhq(), tmp_path / "ffhq.safetensors")
    out = tmp_path / "edits"
    cli.edit(["--attribute", "smile", "--generator", str(tmp_path / "ffhq.safetensors"), "--out", str(out), *CPU])
    assert "a boundary of ffhq-mobile serves" in capsys.readouterr().out
    assert (out / "strip.png").exists()


def test_an_interrupted_edit_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "edits"
    arguments = ["--edit", "age=+2", "--seeds", "0-2", "--resolution", "128", "--batch_size", "1", "--out", str(out)]
    arguments += ["--format", "png", "gif", "webp", "mp4", "strip", "grid", "html", *CPU]
    cli.edit([*arguments, "--trainer.limit_predict_batches", "3"])
    whole = contents(out)
    shutil.rmtree(out)
    with pytest.raises(SystemExit):  # two of three faces: what a kill leaves
        cli.edit([*arguments, "--trainer.limit_predict_batches", "2"])
    assert "1 of 3 faces are not done" in capsys.readouterr().err
    assert not (out / "strip.png").exists()
    (out / ".000002_original.png.x1y2.png").write_bytes(b"half a pictu")
    refusal = failure(cli.edit, capsys, *arguments, "--resume", "--truncation", "0.5", "--seeds", "0-1")
    assert "other faces; truncation 0.7 -> 0.5" in refusal
    cli.edit([*arguments, "--resume"])
    assert contents(out) == whole
    capsys.readouterr()
    cli.edit([*arguments, "--resume"])
    assert "edit: up to date" in capsys.readouterr().out


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_two_ranks_edit_to_the_same_bytes(tmp_path: Path, launcher: str) -> None:
    arguments = [*small_edit(tmp_path), "--attribute", "a/b", "--seeds", "0-12,40", "--steps", "3"]
    arguments += ["--format", "png", "gif", "webp", "mp4", "strip", "grid", "html", "--out"]
    Job(str(ROOT / "edit.py"), *arguments, str(tmp_path / "two"), launcher=launcher).succeed()
    cli.edit([*arguments, str(tmp_path / "one")])
    two, one = contents(tmp_path / "two"), contents(tmp_path / "one")
    assert two == one
    options = [(tmp_path / name / "config.yaml").read_text() for name in ("two", "one")]
    assert options[0].replace(str(tmp_path / "two"), str(tmp_path / "one")) == options[1]
    assert {"000040_a-b+3.png", "strip-000.png", "strip-001.png", "grid_a-b-3.png", "gallery/000012.jpg"} <= set(one)


def test_a_full_disk_is_one_line_and_the_edit_continues_once_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*small_edit(tmp_path), "--edit", "c=+1", "--seeds", "0-3", "--format", "png", "jpg", "gif", "strip"]
    cli.edit([*arguments, "--out", str(tmp_path / "whole")])
    out = tmp_path / "edits"
    with file_size_limit(24):
        line = failure(cli.edit, capsys, *arguments, "--out", str(out))
    assert "cannot be written: the limit of a file's size is reached; make room and run the same command" in line
    assert "--resume" in line
    left = contents(out)
    assert [name for name in left if name.endswith("_original.png")]
    assert not [name for name in left if Path(name).name.startswith(".")]
    assert all(left[name] == data for name, data in contents(tmp_path / "whole").items() if name in left)
    cli.edit([*arguments, "--out", str(out), "--resume"])
    assert contents(out) == contents(tmp_path / "whole")
