"""What ``train.py invert`` does: photographs to files of codes, on one rank and on two, and after a kill."""

import csv
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.photos import Inversion
from tests.commands import contents, failure
from tests.photos.photographs import HOPPER
from tests.processes import CPU, ROOT, Job

QUICK = ["--steps", "1", "1", "0", "1", "0", *CPU]


def test_every_face_is_a_file_and_a_row(inverted: tuple[Path, Path]) -> None:
    photos, out = inverted
    with open(out / "inversions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["face"]) for row in rows] == [
        ("../party/group.png", "0"),
        ("../party/group.png", "1"),
        ("../party/me.jpg", "0"),
        ("../party/broken.jpg", ""),
        ("../party/wall.png", ""),
    ]
    assert all(bool(row["file"]) != bool(row["note"]) for row in rows)
    assert str(photos) not in (out / "inversions.csv").read_text()
    files = [row["file"] for row in rows[:3]]
    images = [Path(name).with_suffix(".jpg").name for name in files]
    assert {path.name for path in out.iterdir()} == {*files, *images, "inversions.csv", "sheet.png"}
    inversion = Inversion.load(out / files[2])
    assert inversion.codes.shape == (16, 512)
    assert rows[2]["psnr"] == f"{inversion.likeness['psnr']:.4g}"
    with Image.open(out / images[2]) as image:
        assert image.size == (1024, 512)


def test_two_ranks_write_the_same_bytes(inverted: tuple[Path, Path]) -> None:
    photos, out = inverted
    two = out.with_name("two")
    Job(str(ROOT / "train.py"), "invert", "--photos", str(photos), "--out", str(two), *QUICK).succeed()
    assert contents(two) == contents(out)


def test_a_killed_run_continues(inverted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = inverted
    killed = out.with_name("killed")
    arguments = ["invert", "--photos", str(photos), "--out", str(killed), *QUICK]
    job = Job(str(ROOT / "train.py"), *arguments, ranks=1, launcher="")
    while job.running() and not list(killed.glob("[!.]*.safetensors")):
        time.sleep(0.02)
    job.kill()
    first, *_ = killed.glob("[!.]*.safetensors")
    (killed / f".{first.name}.x1y2.safetensors").write_bytes(b"half a fi")
    written = first.stat().st_mtime_ns
    cli.train(arguments)
    assert "of them new" in capsys.readouterr().out
    assert first.stat().st_mtime_ns == written
    assert contents(killed) == contents(out)
    cli.train(arguments)
    assert "up to date (3 faces of 2 photographs" in capsys.readouterr().out


def test_other_settings_are_named_and_another_photograph_is_inverted(
    inverted: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, _ = inverted
    out = tmp_path / "out"
    me = tmp_path / "me.jpg"
    shutil.copy(HOPPER, me)
    arguments = ["invert", "--photos", str(me), "--out", str(out), *CPU]
    cli.train([*arguments, "--steps", "1", "0", "0", "0", "0"])
    assert "made in another way (steps" in failure(cli.train, capsys, *arguments, "--steps", "0", "0", "0", "0", "0")
    with Image.open(photos / "group.png") as image:
        image.crop((0, 0, 300, 420)).save(me)
    capsys.readouterr()
    cli.train([*arguments, "--steps", "1", "0", "0", "0", "0"])
    said = capsys.readouterr().out
    assert "1 of them new" in said
    assert len(list(out.glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "give --photos"),
        ("--photos nowhere", "no such file or folder: nowhere"),
        ("--photos empty", "no images in empty"),
        ("--photos wall.png", "no face found in wall.png"),
        ("--photos me.jpg --face 3", "there is no --face 3"),
        ("--photos me.jpg --points 1,2 3,4", "three points"),
        ("--photos me.jpg --points 1,2 3,4 900,5", "512 × 600"),
        ("--photos me.jpg --steps -1 0 0 0 0", "numbers of 0 or more"),
        ("--photos me.jpg --steps 1", "--steps: 5 numbers"),
        ("--photos me.jpg --out full", "holds no inversions"),
        ("--photos me.jpg --generator digiface-dcgan", "no W+"),
    ],
)
def test_mistakes_are_one_line(
    arguments: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(HOPPER, "me.jpg")
    Image.new("RGB", (300, 200), "beige").save("wall.png")
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/holiday.txt").touch()
    assert expected in failure(cli.train, capsys, "invert", *arguments.split(), *CPU)
    assert not Path("runs").exists()
