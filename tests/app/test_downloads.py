"""Files of the page are those of ``edit.py``, byte for byte."""

import shlex
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.app import downloads
from ifgan_pl.app.downloads import Download
from ifgan_pl.app.house import House
from ifgan_pl.app.session import Session
from ifgan_pl.core.errors import UserError
from tests.app.conftest import FEW_STEPS
from tests.commands import contents
from tests.photos.photographs import HOPPER, HOPPER_POINTS
from tests.processes import CPU

CASES: dict[str, tuple[dict[str, float], dict[str, Any], str | None]] = {
    "image": ({"smile": 2.0, "age": -0.55}, {"hold": ["hat"]}, None),
    "strip": ({"smile": 1.0}, {"hold": ["hat", "age"]}, "age"),
    "animation": ({}, {"unit": "latent"}, "smile"),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_command_that_is_shown_makes_the_same_file(
    session: Session, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, options, attribute = CASES[kind]
    session.choose(12)
    session.change(changes, **options)
    made = session.download(kind, attribute).future.result(60)
    words = shlex.split(session.commands(attribute)[kind])
    assert words[:2] == ["python", "edit.py"]
    cli.edit([*words[2:], *CPU, "--out", str(tmp_path / "out")])
    files = {path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made.data in files
    assert Image.open(BytesIO(made.data)).width >= 64


def test_names_say_what_is_in_them(session: Session) -> None:
    session.choose(12)
    session.change({"smile": 2.0})
    names = [session.download(kind, "age").future.result(60).name for kind in ("image", "strip", "animation")]
    assert names == ["000012_smile+2.png", "000012_age.png", "000012_age.webp"]
    assert list(session.folder.iterdir()) == []


def test_nothing_to_make_is_said(session: Session) -> None:
    assert session.commands() == {}
    assert set(session.commands("age")) == {"strip", "animation"}
    for kind, attribute, says in (
        ("image", None, "move a slider"),
        ("strip", None, "which attribute"),
        ("x", None, "kind"),
    ):
        with pytest.raises(UserError, match=says):
            session.download(kind, attribute).future.result(60)


def test_progress_counts_images(session: Session) -> None:
    session.change({"smile": 2.0})
    job = session.download("strip", "smile")
    assert isinstance(job.future.result(60), Download)
    assert (job.done, job.total) == (7, 7)


# -- of photographs


NAME = "my aunt's photo.jpg"


def beside(place: Path, photo: str, *arguments: str) -> list[str]:
    """Options of ``edit.py`` that find a photograph's inversion, which ``train.py invert`` makes in few steps."""
    cli.train(
        [
            "invert",
            "--photos",
            photo,
            *arguments,
            "--steps",
            *map(str, vars(FEW_STEPS).values()),
            "--out",
            str(place),
            *CPU,
        ]
    )
    return ["--inversions", str(place), *CPU]


def test_a_photographs_files_are_those_of_the_commands(
    visitors: House, small_files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(downloads, "MOVIE_STEPS", 3)
    shutil.copy(HOPPER, NAME)
    options = beside(tmp_path / "inversions", NAME, "--generator", small_files[0])
    visitor = visitors.open()
    visitor.upload(NAME, HOPPER.read_bytes()).future.result(60)
    visitor.take(visitor.invert(0, visitors.inverter).future.result(60))
    visitor.change({"smile": 2.0, "age": -0.55}, hold=["hat"], layers="0-7")
    names: dict[str, tuple[str, ...]] = {}
    assert visitor.commands()["image"] == visitor.commands()["photo"]
    for kind, words in visitor.commands("smile").items():
        made = visitor.download(kind, "smile").future.result(60)
        out = Path(kind.replace("photo", "image"))
        if not out.exists():  # the photograph is among the files of the image's command
            cli.edit([*shlex.split(words)[2:], *options, "--out", str(out)])
        found = [path for path, data in contents(out).items() if data == made.data]
        names[kind] = (made.name, *found)
    assert names == {
        "image": ("my-aunt-s-photo-0_smile+2_age-0.55.png", "faces/my-aunt-s-photo-0_smile+2_age-0.55.png"),
        "strip": ("my-aunt-s-photo-0_smile.png", "strip.png"),
        "animation": ("my-aunt-s-photo-0_smile.webp", "faces/my-aunt-s-photo-0.webp"),
        "photo": ("my aunt's photo-edited.jpg", "my aunt's photo.jpg"),
    }


def test_a_face_that_was_pointed_at_is_that_of_points(
    visitors: House, small_files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wall = Image.new("RGB", (500, 400), (200, 190, 170))
    wall.paste((60, 70, 80), (150, 100, 320, 310))
    wall.save("-wall.png")
    points = [[270.0, 160.5], [190.0, 160.0], [230.0, 250.0]]  # the eyes in either order
    words = [f"{x},{y}" for x, y in points]
    options = beside(tmp_path / "inversions", "./-wall.png", "--points", *words, "--generator", small_files[0])
    visitor = visitors.open()
    found = visitor.upload("-wall.png", Path("-wall.png").read_bytes()).future.result(60)
    assert (found.images, found.why) == ([], "no face found in -wall.png")
    visitor.take(visitor.invert(points, visitors.inverter).future.result(60))
    visitor.change({"smile": 2.0})
    command = visitor.commands()["photo"]
    assert "--photos ./-wall.png --points 270.0,160.5 190.0,160.0 230.0,250.0" in command
    made = visitor.download("photo").future.result(60)
    cli.edit([*shlex.split(command)[2:], *options, "--out", "out"])
    assert made.name == "-wall-edited.png"
    assert made.data == Path("out/-wall.png").read_bytes() != Path("-wall.png").read_bytes()


def test_an_earlier_photograph_can_be_saved_after_undo_and_a_forgotten_one_is_gone(visitors: House) -> None:
    visitor = visitors.open()
    visitor.upload("one.jpg", HOPPER.read_bytes()).future.result(60)
    visitor.take(visitor.invert(HOPPER_POINTS.tolist(), visitors.inverter).future.result(60))
    visitor.change({"smile": 2.0})
    made = visitor.download("photo").future.result(60)
    for name in ("two.jpg", "three.jpg"):
        visitor.upload(name, HOPPER.read_bytes()).future.result(60)
    assert sorted(path.name for path in visitor.folder.rglob("*.jpg")) == ["one.jpg", "three.jpg"]
    visitor.choose(3)
    visitor.undo()
    assert visitor.download("photo").future.result(60).data == made.data
    visitors.close(visitor.name)
    assert not visitor.folder.exists()
