import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.photos import Photo, open_photo
from ifgan_pl.photos.alignment import face_quad, side
from tests.photos.photographs import HOPPER, HOPPER_POINTS, hopper

LAY_DOWN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright image is stored under each of EXIF's orientations (CIPA DC-008, 4.6.5.1)."""


def image() -> Image.Image:
    return Image.fromarray(hopper())


@pytest.fixture(scope="module")
def plain() -> Photo:
    return open_photo(HOPPER)


def test_a_photograph_and_its_face(plain: Photo) -> None:
    np.testing.assert_array_equal(plain.pixels, hopper())
    assert (plain.alpha, plain.is_grey, plain.suffix, plain.icc) == (None, False, ".jpg", None)
    (face,) = plain.faces
    assert face.photo is plain
    assert face.landmarks is not None
    assert face.landmarks.shape == (68, 2)
    np.testing.assert_allclose(face.points, HOPPER_POINTS, atol=9)
    np.testing.assert_allclose(face.quad, face_quad(face.points))
    left, top, right, bottom = face.box
    assert left < face.points[0, 0] < face.points[1, 0] < right
    assert top < face.points[0, 1] < face.points[2, 1] < bottom
    aligned = face.aligned(64)
    assert aligned.shape == (64, 64, 3)
    assert aligned.dtype == np.uint8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_photograph(orientation: int, tmp_path: Path, plain: Photo) -> None:
    stored, way = image(), LAY_DOWN[orientation]
    stored = stored if way is None else stored.transpose(way)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    photo = open_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, hopper())
    found, expected = photo.faces[0].landmarks, plain.faces[0].landmarks
    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found, expected)
    stored.save(tmp_path / "a.jpg", exif=exif, quality=90)
    points = open_photo(tmp_path / "a.jpg").faces[0].points
    np.testing.assert_allclose(points, plain.faces[0].points, atol=6)


def test_faces_come_largest_first(tmp_path: Path) -> None:
    group = Image.new("RGB", (1000, 600), (90, 120, 180))
    for x, scale in ((0, 0.5), (260, 0.8), (700, 0.55)):
        group.paste(image().resize((int(512 * scale), int(600 * scale)), Image.Resampling.LANCZOS), (x, 100))
    group.save(tmp_path / "group.png")
    faces = open_photo(tmp_path / "group.png").faces
    sides = [side(face.quad) for face in faces]
    assert len(faces) == 3
    assert sides == sorted(sides, reverse=True)
    assert 260 < faces[0].points[0, 0] < 700


def test_without_a_face_one_line_says_how_to_point_at_one(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "beige").save(tmp_path / "wall.png")
    photo = open_photo(tmp_path / "wall.png")
    with pytest.raises(UserError, match=r"no face found in .*wall\.png.*--points x,y x,y x,y") as raised:
        _ = photo.faces
    assert "\n" not in str(raised.value)


def test_points_stand_in_for_detection(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(pixels: object) -> None:
        raise AssertionError("a face was searched though the user points at it")

    monkeypatch.setattr("ifgan_pl.photos.faces.find_faces", never)
    (face,) = open_photo(HOPPER, points=HOPPER_POINTS).faces
    assert face.landmarks is None
    np.testing.assert_allclose(face.quad, face_quad(HOPPER_POINTS))
    np.testing.assert_allclose(face.box, [*face.quad.min(0), *face.quad.max(0)])


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[1, 2], [3, 4]], "three points"),
        ([[1, 2], [3, 4], [5, 600]], "512 × 600"),
        ([[-1, 2], [3, 4], [5, 60]], "512 × 600"),
        ([[np.nan, 2], [3, 4], [5, 60]], "512 × 600"),
        ([[10, 10], [20, 20], [30, 30]], "not on one line"),
    ],
)
def test_points_that_make_no_face_are_refused(points: list[list[float]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_photo(HOPPER, points=points)


def test_the_transparent_is_seen_on_white(tmp_path: Path) -> None:
    cut_out = image().convert("RGBA")
    opacity = np.full((600, 512), 255, np.uint8)
    opacity[:50] = 0
    cut_out.putalpha(Image.fromarray(opacity))
    cut_out.save(tmp_path / "a.png")
    photo = open_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, hopper())
    assert (photo.shown[:50] == 255).all()
    np.testing.assert_array_equal(photo.shown[50:], hopper()[50:])
    assert len(photo.faces) == 1


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_used_and_named(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"moving.{suffix}"
    image().save(path, save_all=True, append_images=[Image.new("RGB", (512, 600))])
    with caplog.at_level(logging.WARNING):
        photo = open_photo(path)
    assert "moving" in caplog.text
    assert "2 frames" in caplog.text
    assert np.abs(photo.pixels.astype(int) - hopper()).mean() < 4


@pytest.mark.parametrize("mode", ["CMYK", "L", "I;16", "P", "LA", "1"])
def test_faces_are_found_in_every_mode(mode: str, tmp_path: Path) -> None:
    grey = np.asarray(image().convert("L"))
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    stored = wide if mode == "I;16" else image().quantize(128) if mode == "P" else image().convert(mode)
    stored.save(tmp_path / "a.tif")
    (face,) = open_photo(tmp_path / "a.tif").faces
    np.testing.assert_allclose(face.points, HOPPER_POINTS, atol=12)


def truncated(path: Path) -> None:
    path.write_bytes(HOPPER.read_bytes()[:20_000])


def text(path: Path) -> None:
    path.write_text("not an image")


def nothing(path: Path) -> None:
    path.touch()


def bomb(path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(path, "PNG")


def larger_bomb(path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(path, "PNG")


def postscript(path: Path) -> None:
    image().save(path, "EPS")


def folder(path: Path) -> None:
    path.mkdir()


def missing(path: Path) -> None:
    assert not path.exists()


BAD: dict[Callable[[Path], None], str] = {
    truncated: "broken or cut short",
    text: "no image, or a broken one",
    nothing: "no image, or a broken one",
    bomb: "100 megapixels, more than 89",
    larger_bomb: "too large",
    postscript: "PostScript",
    folder: "a folder",
    missing: "no such photograph",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_file_is_one_line_that_names_it(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    make(path)
    with pytest.raises(UserError, match=BAD[make]) as raised:
        open_photo(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_broken_metadata_lose_no_photograph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12", icc_profile=b"rubbish")
    photo = open_photo(tmp_path / "a.jpg")
    assert np.abs(photo.pixels.astype(int) - hopper()).mean() < 4
    assert (photo.exif, photo.icc) == (b"", None)


def test_a_copy_elsewhere_reads_the_same(tmp_path: Path, plain: Photo) -> None:
    """Names say nothing of a file's kind."""
    shutil.copy(HOPPER, tmp_path / "me.PNG")
    photo = open_photo(str(tmp_path / "me.PNG"))
    np.testing.assert_array_equal(photo.pixels, plain.pixels)
    assert photo.suffix == ".jpg"
