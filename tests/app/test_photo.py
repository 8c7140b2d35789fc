"""A photograph on the page: what comes in, its inversion, and what goes out."""

import io
import shlex
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.app import photo
from ifgan_pl.app.house import House
from ifgan_pl.app.models import Models
from ifgan_pl.app.session import Session
from ifgan_pl.app.worker import Dropped
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.sampling import device_of
from ifgan_pl.images.write import read_provenance
from ifgan_pl.photos import Inverter, detection, faces
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.photos.inversions import Inversions
from ifgan_pl.photos.refinement import Steps
from tests.photos.photographs import HOPPER, hopper
from tests.processes import CPU


def bomb() -> bytes:
    """A PNG of 200 megapixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no image"),
        (b"GIF89a", "me.jpg"),
        (b"<svg/>", "no image"),
        (HOPPER.read_bytes()[:9000], "broken or cut short"),
        (bomb(), "too large"),
    ],
    ids=["empty", "cut", "drawing", "truncated", "bomb"],
)
def test_what_is_no_photograph_is_refused_and_not_kept(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        photo.receive(tmp_path / "photo", "me.jpg", data)
    assert str(tmp_path) not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


NAMES = ["../../me.jpg", "/etc/passwd", "C:\\me\\x.jpg", ".bashrc", "", "a" * 500 + ".jpg", "ü ;`.jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_outside_the_session(tmp_path: Path, name: str) -> None:
    received = photo.receive(tmp_path / "session", name, HOPPER.read_bytes())
    path = received.photo.path
    assert path.parent == tmp_path / "session"
    assert len(path.name) <= photo.LONGEST_NAME
    assert not path.name.startswith(".")
    assert [path.name for path in tmp_path.iterdir()] == ["session"]
    assert "/" not in received.name
    assert received.name not in ("", ".", "..")


def test_where_no_face_is_found_the_visitor_points_at_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "POINTED_AT", 100)
    with pytest.raises(UserError, match="send one first"):
        session.picture()
    data = io.BytesIO()
    Image.fromarray(np.full((20, 200, 3), 99, np.uint8)).save(data, "PNG")
    found = session.upload("plain.png", data.getvalue()).future.result(60)
    assert (found.images, found.why) == ([], "no face found in plain.png")
    made = session.picture().future.result(60)
    assert (made.width, made.height) == (200, 20)
    assert Image.open(io.BytesIO(made.jpeg)).size == (100, 10)


def test_without_what_finds_faces_the_visitor_is_told_so(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pixels: object) -> None:
        raise detection._missing()

    monkeypatch.setattr(faces, "find_faces", missing)
    found = session.upload("me.jpg", HOPPER.read_bytes()).future.result(60)
    assert found.why == "finding faces needs dlib and its models: pip install 'ifgan_pl[photos]'"


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([[10, 10], [20, 10], [30, 10]], "not on one line"),
        ([[222, 190], [304, 186], [270, 900]], "me.jpg has 512 × 600 pixels: the points"),
        ([[222, 190], [304, 186], [270, -1]], "leave it"),
        ([[222, 190], [304, 186], [270, float("inf")]], "leave it"),
    ],
)
def test_points_of_no_face_are_refused(session: Session, points: list[list[float]], says: str) -> None:
    session.upload("me.jpg", HOPPER.read_bytes()).future.result(60)
    with pytest.raises(UserError, match=says) as refused:
        session.invert(points, lambda: pytest.fail("nothing is to be inverted")).future.result(60)
    assert "--points" not in str(refused.value)
    assert str(session.folder) not in str(refused.value)


@pytest.fixture(scope="module")
def inverter() -> Inverter:
    generator = Models.load("ffhq-mobile", None).generator
    steps = Steps(w=2, layers=1, full=0, weights=1, weights_full=0)
    return Inverter(generator, None, load_sface().to(device_of(generator)), steps)


@pytest.fixture
def visitor(inverter: Inverter, tmp_path: Path) -> Session:
    models = Models.load("ffhq-mobile", None)
    models.generator = inverter.generator
    house = House(models, taught=tmp_path)
    house._inverter = inverter
    return house.open()


def test_a_photograph_is_edited_and_comes_back_whole(
    visitor: Session, inverter: Inverter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="send one first"):
        visitor.invert(0, lambda: inverter)
    found = visitor.upload("grace.jpg", HOPPER.read_bytes()).future.result(60)
    assert [Image.open(io.BytesIO(face)).size for face in found.images] == [(photo.SMALL, photo.SMALL)]
    with pytest.raises(UserError, match="has 1 faces"):
        visitor.invert(3, lambda: inverter).future.result(60)
    job = visitor.invert(0, lambda: inverter)
    visitor.take(job.future.result(300))
    assert (job.done, job.total) == (4, 4)
    state = visitor.state()
    assert state["photo"] == "grace.jpg"
    assert state["likeness"].startswith("likeness ")
    plain = visitor.full().future.result(60)
    aligned = visitor.edit.face.photo.found.aligned()
    shown = np.asarray(Image.open(io.BytesIO(plain.jpeg)), np.float64)
    assert np.abs(shown - aligned).mean() < 4, "no edit shows the photograph itself"
    with pytest.raises(UserError, match="move a slider"):
        visitor.download("photo").future.result(60)
    visitor.change({"smile": 1.5}, hold=["age"])
    assert visitor.commands("smile")["photo"].startswith(
        "python edit.py --edit smile=+1.5 --hold age --photos grace.jpg"
    )
    made = visitor.download("photo").future.result(120)
    assert made.name == "grace-edited.jpg"
    path = tmp_path / made.name
    path.write_bytes(made.data)
    after = np.asarray(Image.open(path).convert("RGB"), np.float64)
    assert after.shape == hopper().shape
    assert read_provenance(path)["edit"] == {"smile": 1.5}
    mouth = np.abs(after - hopper())[240:320, 220:320].mean()
    corner = np.abs(after - hopper())[:60, :60].mean()
    assert mouth > 4 * corner
    # with the shipped models and a tuned generator too, edit.py writes these bytes
    monkeypatch.chdir(tmp_path)
    shutil.copy(HOPPER, "grace.jpg")
    portrait = visitor.edit.face.photo
    store = Inversions("inversions", inverter.generator)
    portrait.inversion.save(store.path(portrait.filed))
    cli.edit([*shlex.split(visitor.commands()["photo"])[2:], "--inversions", "inversions", *CPU])
    assert Path("edited/grace.jpg").read_bytes() == made.data
    image = visitor.download("image").future.result(60)
    assert Path(f"edited/faces/{image.name}").read_bytes() == image.data
    visitor.undo()
    visitor.undo()
    assert visitor.state()["photo"] is None


def test_a_closed_tab_ends_its_inversion(visitor: Session, inverter: Inverter) -> None:
    visitor.upload("grace.jpg", HOPPER.read_bytes()).future.result(60)
    job = visitor.invert(0, lambda: inverter)
    visitor.worker.drop(visitor.name)
    with pytest.raises(Dropped):
        job.future.result(120)
