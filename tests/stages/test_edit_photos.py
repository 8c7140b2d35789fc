"""What ``edit.py`` does with photographs: whole ones go in and come out."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.images.write import read_provenance
from tests.commands import contents, failure
from tests.photos.photographs import HOPPER, HOPPER_POINTS, hopper
from tests.processes import CPU, ROOT, Job

SMALL = ["--resolution", "128", *CPU]


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def test_two_ranks_edit_photographs_to_the_same_bytes(inverted: tuple[Path, Path], tmp_path: Path) -> None:
    photos, store = inverted
    arguments = ["--photos", str(photos), "--inversions", str(store), "--attribute", "smile", "--range", "1", "2"]
    arguments += ["--steps", "2", "--hold", "all", "--scorer", "scorer-faces", *SMALL]
    arguments += ["--format", "jpg", "gif", "strip", "grid", "html", "--out"]
    before = contents(store)
    Job(str(ROOT / "edit.py"), *arguments, str(tmp_path / "two")).succeed()
    cli.edit([*arguments, str(tmp_path / "one")])
    assert contents(store) == before
    one = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == one
    whole = {f"{name}_smile+{k}{suffix}" for name, suffix in (("me", ".jpg"), ("group", ".png")) for k in (1, 2)}
    faces = {f"faces/{face}_{edit}.jpg" for face in FACES for edit in ("original", "smile+1", "smile+2")}
    faces |= {f"faces/{face}.gif" for face in FACES} | {f"gallery/faces/{face}.jpg" for face in FACES}
    sheets = {"strip.png", "index.html", *(f"grid_{edit}.png" for edit in ("original", "smile+1", "smile+2"))}
    assert set(one) == whole | faces | sheets | {"edits.csv", "skipped.csv", "provenance.json"}
    with open(tmp_path / "one/edits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["face"], row["photograph"]) for row in rows[:3]] == [
        ("group.png", "0", ""),
        ("group.png", "0", "group_smile+1.png"),
        ("group.png", "0", "group_smile+2.png"),
    ]
    assert [row["identity"] for row in rows[::3]] == ["1.0000"] * 3
    assert all(float(row["identity"]) > 0.7 for row in rows)
    assert float(rows[2]["after_smile"]) > float(rows[2]["before_smile"]) == float(rows[0]["after_smile"])
    about = read_provenance(tmp_path / "one/group_smile+2.png")
    assert about["edit"] == {"smile": 2.0}
    assert [index["face"] for index in about["index"]] == [0, 1]
    assert str(tmp_path) not in str(one["edits.csv"]) + str(one["skipped.csv"]) + str(one["provenance.json"])


FACES = ["group-0", "group-1", "me-0"]


def test_both_faces_of_a_photograph_change_and_nothing_around_them(inverted: tuple[Path, Path], tmp_path: Path) -> None:
    photos, store = inverted
    out = tmp_path / "out"
    cli.edit(["--inversions", str(store), "--edit", "smile=+2", "--out", str(out), "--format", "strip", *SMALL])
    assert {path.name for path in out.glob("*.jpg")} | {path.name for path in out.glob("*.png")} == {
        "me.jpg",
        "group.png",
        "strip.png",
    }
    change = np.abs(pixels(out / "group.png") - pixels(photos / "group.png")).max(2)
    assert change[:10].max() == change[-10:].max() == 0
    for x, scale in ((10, 0.55), (300, 0.65)):
        left, top = np.round(np.array([x, 20]) + HOPPER_POINTS[2] * scale).astype(int)
        assert change[top - 10 : top + 10, left - 20 : left + 20].mean() > 3  # the mouth
    again = tmp_path / "one face"
    cli.edit(["--inversions", str(store), "--face", "1", "--edit", "smile=+2", "--out", str(again), *SMALL])
    assert not (again / "me.jpg").exists()
    one = np.abs(pixels(again / "group.png") - pixels(photos / "group.png")).max(2)
    assert (one[:, :250].max() == 0) != (one[:, 450:].max() == 0)


def test_a_zero_edit_gives_the_photograph_back(tmp_path: Path) -> None:
    shutil.copy(HOPPER, tmp_path / "exact.jpg")
    Image.fromarray(hopper()).save(tmp_path / "exact.png")
    for name in ("exact.jpg", "exact.png"):
        out, photo, store = tmp_path / f"of {name}", str(tmp_path / name), str(tmp_path / "s")
        cli.train(["invert", "--photos", photo, "--steps", "0", "0", "0", "0", "0", "--out", store, *CPU])
        cli.edit(["--photos", photo, "--inversions", store, "--edit", "smile=0", "--out", str(out), *SMALL])
        error = np.square(pixels(out / name) - pixels(photo)).mean()
        assert error == 0 if name.endswith("png") else 10 * np.log10(255**2 / error) > 48


def test_an_interrupted_edit_of_photographs_is_resumed(
    inverted: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, store = inverted
    mine = shutil.copytree(photos, tmp_path / "party")
    arguments = ["--photos", str(mine), "--inversions", str(store), "--edit", "age=+1", *SMALL, "--out"]
    cli.edit([*arguments, str(tmp_path / "whole")])
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        cli.edit([*arguments, str(out), "--trainer.limit_predict_batches", "2"])
    assert "1 of 3 faces are not done" in capsys.readouterr().err
    assert not (out / "me.jpg").exists()
    cli.edit([*arguments, str(out), "--resume"])
    assert contents(out) == contents(tmp_path / "whole")
    capsys.readouterr()
    cli.edit([*arguments, str(out), "--resume"])
    assert "up to date" in capsys.readouterr().out
    shutil.copy(mine / "me.jpg", mine / "you.jpg")
    assert "other faces in you.jpg" in failure(cli.edit, capsys, *arguments, str(out), "--resume")


def test_a_photograph_that_moved_is_named(
    inverted: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, store = inverted
    moved = shutil.copytree(store, tmp_path / "elsewhere" / "one")
    arguments = ["--inversions", str(moved), "--edit", "smile=1", "--out", str(tmp_path / "out"), *SMALL]
    assert "is not there any more: give --photos" in failure(cli.edit, capsys, *arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--photos nowhere.jpg", "no such file or folder"),
        ("--photos me.jpg --face 1", "no --face 1"),
        ("--photos me.jpg --seeds 3", "give either --photos"),
        ("--photos me.jpg --compile", "serves generated faces"),
        ("--face 0", "give that too"),
        ("--points 1,2 3,4 5,6", "give that too"),
        ("--inversions empty", "holds no inversions.csv"),
        ("--photos me.jpg --out full", "not empty"),
        ("--photos me.jpg --hold nobody", "unknown attribute"),
        ("--photos me.jpg --generator digiface-dcgan --boundary ffhq-mobile-w", "latent spaces"),
        ("--photos me.jpg --generator digiface-dcgan --boundary z.safetensors", "no W+"),
        ("--photos me.jpg --resolution 300", "divide 1024"),
        ("--photos me.jpg --layers 20", "rows of W+"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_inverted(
    arguments: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(HOPPER, "me.jpg")
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/file").touch()
    LinearBoundary(torch.eye(100)[:1], attributes=["smile"], space="z").save("z.safetensors")
    assert expected in failure(cli.edit, capsys, "--edit", "smile=1", *arguments.split(), *CPU)
    assert not Path("results").exists()
    assert not Path("runs").exists()
