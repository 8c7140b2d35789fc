"""Files of the page are those of ``edit.py``, byte for byte."""

import shlex
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.app.downloads import Download
from ifgan_pl.app.session import Session
from ifgan_pl.core.errors import UserError
from tests.processes import CPU

CASES = {
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
    session.change(changes, **options)  # type: ignore[arg-type]
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
