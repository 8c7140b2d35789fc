"""Faces in an image by dlib: a detector of frontal faces (HOG) and 68 landmarks (iBUG's scheme) for each."""

import importlib.util
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.photos.alignment import align, apply, similarity, square

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

QUICK, THOROUGH = 4_000_000, 16_000_000
"""Pixels that are searched, and that are searched where nothing was found: .1 s and 25 MB a million on one core."""
ENLARGEMENT = 2.0
"""How much a small image is enlarged for the thorough search: the detector sees faces of 80 pixels and more."""
SURE = 0.4
"""Score of the detector below which one searches on, and that a face needs which such a search finds."""
AGAIN_SIDE = 120
"""Side of the box of a doubtful face for a second look at it alone."""
LANDMARK_SIDE = 600
"""Landmarks are placed on a copy of the face whose box has at most this side: more pixels do not make them better."""
TILTED = {3: -30.0, 4: 30.0}
"""The detector's templates of rolled faces, and the clockwise roll, in degrees, of what they see; within 20 or so."""
LEVEL_SIDE = 200
"""Side of the box of such a face where it is levelled."""
PREDICTOR = "shape_predictor_68_face_landmarks.dat"
_one_at_a_time = Lock()


class Detection(NamedTuple):
    """A face: 68 landmarks (68, 2) and a box (left, top, right, bottom), float64, in pixels; the detector's score."""

    landmarks: Points
    box: Points
    score: float


def find_faces(pixels: Pixels) -> list[Detection]:
    """Faces in an image (H, W, 3) uint8; [] where there is none.

    Faces may be rolled by any angle, but must look at the camera. An image in which no upright face is sure is searched
    again at a higher resolution, then turned by quarters. Beside a sure face, one below :data:`SURE` has to be seen
    twice.

    Raises:
        UserError: dlib or its models are not installed.
    """
    area = pixels.shape[0] * pixels.shape[1]
    quick, thorough = min(1.0, (QUICK / area) ** 0.5), min(ENLARGEMENT, (THOROUGH / area) ** 0.5)
    found = _search(pixels, quick, 0.0)
    if _best(found) < SURE:
        found = max(found, _search(pixels, thorough, SURE), key=_best)
    if _best(found) < SURE:
        scale = min(ENLARGEMENT, (QUICK / area) ** 0.5)
        found = max(found, *(_search_turned(pixels, scale, quarters) for quarters in (1, 2, 3)), key=_best)
    sure = _best(found) >= SURE
    return [face for face in found if not sure or face.score >= SURE or _seen_again(pixels, face.box)]


def _best(found: list[Detection]) -> float:
    return max((face.score for face in found), default=-np.inf)


def _search_turned(pixels: Pixels, scale: float, quarters: int) -> list[Detection]:
    """Faces that are sure in an image turned by quarters, as they lie in the image."""
    found = _search(np.rot90(pixels, quarters), scale, SURE)
    return [
        Detection(_turn_back(face.landmarks, pixels, quarters), _turn_back(face.box, pixels, quarters), face.score)
        for face in found
    ]


def _search(pixels: Pixels, scale: float, threshold: float) -> list[Detection]:
    """Faces in an image that is searched at ``scale``."""
    height, width = (max(1, round(n * scale)) for n in pixels.shape[:2])
    # a reduced image is averaged, an enlarged one interpolated: Pillow's bilinear filter does both
    small = _resized(pixels, width, height)
    with _one_at_a_time:
        boxes, scores, templates = _detector().run(small, 0, threshold)
    factor = np.array([pixels.shape[1] / width, pixels.shape[0] / height] * 2)
    found = []
    for box, score, template in zip(boxes, scores, templates, strict=True):
        corners = np.array([box.left(), box.top(), box.right(), box.bottom()], np.float64)
        corners = (corners + 0.5) * factor - 0.5
        if template in TILTED:
            landmarks = _levelled_landmarks(pixels, corners, TILTED[template])
        else:
            landmarks = _landmarks(pixels, corners, max(1.0, scale))
        found.append(Detection(landmarks, corners, float(score)))
    return found


def _seen_again(pixels: Pixels, box: Points) -> bool:
    """Whether the detector finds a face in the part of the image around a box, as it is or mirrored."""
    extent = box[2:] - box[:2]
    left, top = np.maximum(np.floor(box[:2] - 0.75 * extent), 0).astype(int)
    part = pixels[top : int(box[3] + 0.75 * extent[1]) + 1, left : int(box[2] + 0.75 * extent[0]) + 1]
    scale = AGAIN_SIDE / extent.max()
    small = _resized(part, *(max(1, round(n * scale)) for n in part.shape[1::-1]))
    with _one_at_a_time:
        return any(_detector().run(np.ascontiguousarray(image), 0, 0.0)[0] for image in (small, small[:, ::-1]))


def _landmarks(pixels: Pixels, box: Points, largest: float) -> Points:
    """Landmarks of the face in a box, placed at a scale of at most ``largest`` on the part of the image around it."""
    extent = box[2:] - box[:2] + 1
    left, top = np.maximum(np.floor(box[:2] - extent), 0).astype(int)
    right, bottom = np.minimum(np.ceil(box[2:] + extent), (pixels.shape[1], pixels.shape[0])).astype(int)
    scale = min(largest, LANDMARK_SIDE / extent.max())
    width, height = (max(1, round(n * scale)) for n in (right - left, bottom - top))
    part = _resized(pixels[top:bottom, left:right], width, height)
    factor = np.array([(right - left) / width, (bottom - top) / height])
    corners = (box.reshape(2, 2) - (left, top) + 0.5) / factor - 0.5
    return np.asarray((_predict(part, corners.ravel()) + 0.5) * factor - 0.5 + (left, top))


def _levelled_landmarks(pixels: Pixels, box: Points, roll: float) -> Points:
    """Landmarks of the face in a box, placed on an image that is turned back by ``roll`` degrees.

    As they lie the predictor misses one rolled face in four, by up to the distance of the eyes.
    """
    centre, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
    quad = square(centre, np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))]) * 1.5 * side)
    size = 3 * LEVEL_SIDE
    level = align(pixels, quad, size)
    return apply(similarity(quad, size), _predict(level, np.array([size / 3] * 2 + [2 * size / 3 - 1] * 2)))


def _predict(pixels: Pixels, box: Points) -> Points:
    """The predictor's landmarks (68, 2) for a box in an image."""
    import dlib

    shape = _predictor()(pixels, dlib.rectangle(*(round(float(v)) for v in box)))
    return np.array([(p.x, p.y) for p in shape.parts()], np.float64)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _turn_back(points: Points, pixels: Pixels, quarters: int) -> Points:
    """Points or a box found in ``np.rot90(pixels, quarters)``, in pixels of the image itself."""
    last_x, last_y = pixels.shape[1] - 1, pixels.shape[0] - 1
    x, y = points.reshape(-1, 2).T
    x, y = {1: (last_x - y, x), 2: (last_x - x, last_y - y), 3: (y, last_y - x)}[quarters]
    if points.ndim == 1:
        return np.array([x.min(), y.min(), x.max(), y.max()])
    return np.stack([x, y], axis=1)


@cache
def _detector() -> Any:
    _check_installed()
    import dlib

    return dlib.get_frontal_face_detector()


@cache
def _predictor() -> Any:
    import dlib

    return dlib.shape_predictor(str(model_file(PREDICTOR)))


def model_file(name: str) -> Path:
    """A file of the package of dlib's models, which is not imported: its code needs what new Pythons no longer have.

    Raises:
        UserError: the package is not installed.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    path = Path(spec.origin).parent / "models" / name if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise _missing()
    return path


def _check_installed() -> None:
    if importlib.util.find_spec("dlib") is None:
        raise _missing()
    model_file(PREDICTOR)


def _missing() -> UserError:
    return UserError(
        "finding faces needs dlib and its models: pip install 'ifgan_pl[photos]', "
        "or say where the face is: --points x,y x,y x,y (the two eyes, the mouth)"
    )
