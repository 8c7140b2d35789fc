"""A folder of inversions, without inverting anything."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.generators import Generator
from ifgan_pl.images.write import save_image
from ifgan_pl.photos import Inversion
from ifgan_pl.photos.inversions import ROWS, Inversions
from ifgan_pl.photos.survey import FoundFace, Survey
from tests.photos.photographs import HOPPER, HOPPER_POINTS


@pytest.fixture
def store(dcgan: Generator, tmp_path: Path) -> Inversions:
    return Inversions(tmp_path / "runs" / "party", dcgan)


def found(folder: Path, name: str = "me.jpg", number: int = 0) -> FoundFace:
    path = folder / name
    shutil.copy(HOPPER, path)
    points = tuple((float(x) + number, float(y)) for x, y in HOPPER_POINTS)
    return FoundFace(path, "", path.stem, ".jpg", number, points)


def fill(store: Inversions, faces: list[FoundFace], generator: str | None = None) -> list[FoundFace]:
    """Inversions of all faces, without the pain."""
    faces = [replace(face, digest=file_digest(face.path)) for face in faces]
    for face in faces:
        made = {"name": "that", "digest": generator or store.generator.fingerprint}
        about = {"generator": made, "photo": {"name": face.path.name, "digest": face.digest}}
        codes = torch.full((16, 512), float(face.number))
        Inversion(codes, face.quad, {"psnr": 20.0, "identity": 0.5}, about).save(store.path(face))
        save_image(store.path(face).with_suffix(".jpg"), np.zeros((8, 16, 3), np.uint8), {})
    return faces


def test_a_face_is_found_by_its_photograph_its_place_and_the_generator(store: Inversions, tmp_path: Path) -> None:
    face = replace(found(tmp_path), digest="ab")
    paths = {store.path(face), store.path(replace(face, digest="cd"))}
    paths.add(store.path(replace(face, points=((1.0, 1.0), (5.0, 1.0), (3.0, 4.0)))))
    assert len(paths) == 3
    assert store.path(replace(face, number=7, name="another")) == store.path(face)
    assert len(store.path(replace(face, path=Path("x" * 250 + ".jpg"))).name) < 100


def test_what_is_missing_or_damaged_is_to_be_made(store: Inversions, tmp_path: Path) -> None:
    faces = fill(store, [found(tmp_path, number=i) for i in range(3)])
    assert store.missing(faces) == []
    store.path(faces[0]).unlink()
    store.path(faces[2]).write_bytes(b"half a file")
    assert store.missing(faces) == [faces[0], faces[2]]
    assert store.missing([faces[0], faces[0]]) == [faces[0]]
    assert float(store.load(faces[1]).codes.mean()) == 1


def test_a_table_and_back(store: Inversions, tmp_path: Path) -> None:
    faces = fill(store, [found(tmp_path, "ä b.jpg", 0), found(tmp_path, "me.jpg", 1)])
    store.write_table(Survey(faces, {tmp_path / "wall.png": f"no face found in {tmp_path}/wall.png: say"}))
    text = (store.root / "inversions.csv").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "../../wall.png" in text
    assert store.read_table() == Survey(faces, {})
    assert store.read_table(face=1).faces == faces[1:]
    with pytest.raises(UserError, match="lists no face number 5"):
        store.read_table(face=5)
    faces[0].path.unlink()
    faces[1].path.write_bytes(b"another")
    with pytest.raises(UserError, match=r"is not there any more: give --photos .*and 1 other"):
        store.read_table()
    with pytest.raises(UserError, match="changed since it was inverted"):
        store.read_table(face=1)


def test_another_generator_is_named(store: Inversions, tmp_path: Path) -> None:
    faces = fill(store, [found(tmp_path)], generator="another")
    store.write_table(Survey(faces, {}))
    with pytest.raises(UserError, match="was made with that, not with digiface-dcgan"):
        store.read_table()


def test_sheets_show_all_faces_in_pages(store: Inversions, tmp_path: Path) -> None:
    faces = fill(store, [found(tmp_path, number=i) for i in range(ROWS + 1)])
    first, second = store.write_sheets(faces)
    with Image.open(first) as one, Image.open(second) as other:
        assert one.height > other.height
        assert one.width == other.width


def test_what_a_killed_run_was_writing_goes(store: Inversions, tmp_path: Path) -> None:
    (face,) = fill(store, [found(tmp_path)])
    leftover = store.root / f".{store.path(face).name}.x1y2.safetensors"
    other = store.root / ".someone-elses.x1y2.safetensors"
    for path in (leftover, other):
        path.touch()
    store.tidy([face])
    assert not leftover.exists()
    assert other.exists()
    assert store.path(face).exists()
