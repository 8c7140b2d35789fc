import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import dlib
import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.photos import detection
from ifgan_pl.photos.alignment import eyes_and_mouth
from ifgan_pl.photos.detection import find_faces, model_file
from tests.photos.photographs import HOPPER_POINTS, Pixels, hopper, rolled, rolled_points

TOLERANCE = 0.15
"""In distances between the eyes: behind these glasses dlib's landmarks are .11 off, under one box of its detector."""


def error(pixels: Pixels, expected: np.ndarray) -> float:
    """How far the eyes and the mouth of the one face are from where they should be, in distances between the eyes."""
    (face,) = find_faces(pixels)
    away = np.hypot(*(eyes_and_mouth(face.landmarks) - expected).T)
    return float(away.max() / np.hypot(*(expected[1] - expected[0])))


def test_the_landmarks_are_dlibs_own() -> None:
    """Up to QUICK pixels and LANDMARK_SIDE nothing is resized: the plain use of dlib gives the same numbers."""
    box = dlib.get_frontal_face_detector()(hopper().copy(), 0)[0]
    predictor = dlib.shape_predictor(str(model_file("shape_predictor_68_face_landmarks.dat")))
    plain = np.array([(p.x, p.y) for p in predictor(hopper().copy(), box).parts()])
    (face,) = find_faces(hopper())
    np.testing.assert_allclose(face.landmarks, plain, atol=1e-9)
    np.testing.assert_allclose(face.box, [box.left(), box.top(), box.right(), box.bottom()], atol=1e-9)
    assert face.landmarks.shape == (68, 2)
    assert face.landmarks.dtype == np.float64


def test_the_face_is_where_one_sees_it() -> None:
    assert error(hopper(), HOPPER_POINTS) < TOLERANCE


@pytest.mark.parametrize("scale", [0.2, 0.5, 4.5])
def test_small_and_large_photographs(scale: float) -> None:
    """A face of 40 pixels is found on an enlarged copy; 6 million pixels are searched on a reduced one."""
    size = (round(512 * scale), round(600 * scale))
    pixels = np.asarray(Image.fromarray(hopper()).resize(size, Image.Resampling.LANCZOS))
    assert error(pixels, (HOPPER_POINTS + 0.5) * scale - 0.5) < TOLERANCE


@pytest.mark.parametrize("degrees", [20, -40, 90, 180, 210, 270])
def test_a_face_may_be_rolled_by_any_angle(degrees: float) -> None:
    assert error(rolled(hopper(), degrees), rolled_points(HOPPER_POINTS, hopper(), degrees)) < TOLERANCE


def test_a_face_may_be_cut_by_the_border() -> None:
    assert error(hopper()[:, 200:], HOPPER_POINTS - [200, 0]) < TOLERANCE
    assert error(hopper()[170:], HOPPER_POINTS - [0, 170]) < TOLERANCE


def test_every_face_of_a_crowd_is_found() -> None:
    small = np.asarray(Image.fromarray(hopper()).resize((256, 300), Image.Resampling.LANCZOS))
    crowd = np.tile(small, (4, 10, 1))
    assert len(find_faces(crowd)) == 40


def test_where_no_face_is_none_is_found() -> None:
    y, x = np.mgrid[:300, :400]
    drawing = np.full((300, 400, 3), 255, np.uint8)
    drawing[np.abs(np.hypot(x - 200, y - 150) - 100) < 3] = 0
    for spot in ((160, 120), (240, 120), (200, 190)):
        drawing[np.hypot(x - spot[0], y - spot[1]) < 9] = 0
    assert find_faces(drawing) == []
    assert find_faces(np.zeros((1, 1, 3), np.uint8)) == []


@pytest.mark.parametrize("missing", ["dlib", "face_recognition_models"])
def test_without_dlib_or_its_models_one_line_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == missing else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    detection._detector.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'ifgan_pl\[photos\]'.*--points"):
        find_faces(hopper())


def test_the_package_of_models_has_what_is_asked_of_it() -> None:
    for name in ("shape_predictor_68_face_landmarks", "shape_predictor_5_face_landmarks"):
        assert model_file(f"{name}.dat").is_file()
    assert model_file("dlib_face_recognition_resnet_model_v1.dat").is_file()


def test_every_portrait_has_one_face(shared: Path) -> None:
    paths = sorted((shared / "portraits").glob("*/*.jpg"))
    if not paths:
        pytest.skip("no portraits here")
    counts = [len(find_faces(np.asarray(Image.open(path).convert("RGB")))) for path in paths]
    assert counts == [1] * len(paths)


def test_a_doubtful_face_beside_a_sure_one_has_to_be_seen_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector's scores of the whole image are made up: no picture at hand has what it takes for a face."""
    twice = np.concatenate([hopper(), np.ascontiguousarray(hopper()[:, ::-1]), np.full_like(hopper(), 128)], axis=1)
    real = dlib.get_frontal_face_detector()

    class Doubting:
        def run(self, pixels: Pixels, upsample: int, threshold: float) -> tuple[list[object], list[float], list[int]]:
            boxes, scores, templates = real.run(pixels, upsample, threshold)
            if pixels.shape != twice.shape:
                return list(boxes), list(scores), list(templates)
            return [*boxes, dlib.rectangle(1200, 200, 1350, 350)], [1.0, 0.2, 0.2], [0, 0, 0]

    monkeypatch.setattr(detection, "_detector", Doubting)
    assert [face.score for face in find_faces(twice)] == [1.0, 0.2]
    monkeypatch.setattr(detection, "SURE", 1.5)  # where none is sure all stay
    assert len(find_faces(twice)) == 3
