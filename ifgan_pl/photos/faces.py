"""A photograph, read from a file of any kind that Pillow knows, and the faces in it."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from ifgan_pl.core.errors import UserError
from ifgan_pl.photos import colours
from ifgan_pl.photos.alignment import align, eyes_and_mouth, face_quad, side
from ifgan_pl.photos.detection import find_faces

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

ORIENTATION, EXIF_FOLDER, WIDTH, HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
LAYOUT_TAGS = frozenset(
    {ORIENTATION, *range(254, 260), *range(262, 267), *range(273, 274), *range(277, 282), 284, *range(288, 294), 301}
    | {317, *range(320, 334), *range(336, 348), *range(512, 533), 700, 33723, 34377, 34675}
)
"""EXIF and TIFF tags that say how a file lays out its pixels, which is no longer true of another file."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a photograph.

    Attributes:
        photo: where it is.
        points: (3, 2) float64: the eye at the left of an upright face, the one at its right, the mouth. Points are
            (x, y) in pixels of the upright photograph, whole numbers at the centres of pixels.
        landmarks: (68, 2) float64 in iBUG's order; ``None`` where a user gave the points.
        box: (4,) float64: left, top, right, bottom; the detector's, or that of the quad.
        quad: (4, 2) float64: FFHQ's square around the face, see :mod:`ifgan_pl.photos.alignment`.
    """

    photo: "Photo"
    points: Points
    landmarks: Points | None
    box: Points
    quad: Points

    def aligned(self, size: int = 1024) -> Pixels:
        """The face as FFHQ's images show faces, (size, size, 3) uint8."""
        return align(self.photo.shown, self.quad, size)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, upright, and what it takes to write it back. Made by :func:`open_photo`.

    Attributes:
        path: the file.
        pixels: (H, W, 3) uint8 RGB, in the colour space of ``icc`` (sRGB without one).
        alpha: (H, W) uint8, or ``None``: opaque.
        is_grey: the file had no colours.
        suffix: the kind of file to write it back as: .jpg, .png or .webp.
        exif: its EXIF block, orientation and thumbnail taken out; empty where there is none.
        icc: its colour profile, or ``None``.
        xmp: its XMP packet, or ``None``.
        texts: a PNG's texts; its comment, of another file.
        jpeg: quantisation tables and subsampling of a JPEG file, as Pillow's ``save`` takes them.
        points: (3, 2), the eyes and the mouth that the user points at, or ``None``: faces are searched.
    """

    path: Path
    pixels: Pixels
    alpha: Pixels | None
    is_grey: bool
    suffix: str
    exif: bytes
    icc: bytes | None
    xmp: bytes | None
    texts: Mapping[str, str]
    jpeg: Mapping[str, Any]
    points: Points | None

    @property
    def shown(self) -> Pixels:
        """The pixels as one sees them: what is transparent is white, (H, W, 3) uint8."""
        if self.alpha is None:
            return self.pixels
        white = Image.new("RGB", self.alpha.shape[::-1], "white")
        white.paste(Image.fromarray(self.pixels), mask=Image.fromarray(self.alpha))
        return np.asarray(white)

    @cached_property
    def faces(self) -> list[Face]:
        """The faces, the largest first.

        Raises:
            UserError: there is none, or what finds them is not installed.
        """
        if self.points is not None:
            return [_face(self, self.points)]
        found = [_face(self, eyes_and_mouth(f.landmarks), f.landmarks, f.box) for f in find_faces(self.shown)]
        if not found:
            raise UserError(
                f"no face found in {self.path}: say where it is with --points x,y x,y x,y "
                "(the two eyes, then the mouth, in pixels), or leave the photograph out"
            )
        return sorted(found, key=lambda face: (-side(face.quad), *face.points[0]))


def open_photo(path: str | Path, *, points: ArrayLike | None = None) -> Photo:
    """Read a photograph; of several frames the first, of 16 bits the upper 8, of CMYK what it looks like.

    Args:
        path: any kind of image that Pillow reads.
        points: (3, 2), the centres of the two eyes and of the mouth, in pixels of the upright photograph, of the one
            face to see in it. Without them faces are searched, when first asked for.

    Raises:
        UserError: the file is missing, broken, too large or no image; the points are none of a face in it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{'a folder, not a photograph' if path.is_dir() else 'no such photograph'}: {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks about size, EXIF and palettes: what matters is said below
        try:
            with Image.open(path) as file:
                _check(path, file)
                return _read(path, file, points)
        except UserError:
            raise
        except UnidentifiedImageError:
            raise UserError(f"{path} is no image, or a broken one: save it as JPEG, PNG or WebP") from None
        except Image.DecompressionBombError:
            raise UserError(f"{path} is too large to be a photograph: make it smaller first") from None
        except Exception as error:  # decoders fail in every way on a broken file
            reason = str(error) or type(error).__name__
            raise UserError(f"{path} is broken or cut short ({reason}): copy or export it again") from None


def _check(path: Path, file: Image.Image) -> None:
    """Refuse what should not even be decoded."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and file.width * file.height > limit:
        size = round(file.width * file.height / 1e6)
        raise UserError(f"{path} has {size} megapixels, more than {int(limit / 1e6)}: make it smaller first")
    if file.format == "EPS":
        raise UserError(f"{path} is a PostScript drawing: save it as JPEG, PNG or WebP")


def _read(path: Path, file: Image.Image, points: ArrayLike | None) -> Photo:
    kind = file.format or ""
    if getattr(file, "n_frames", 1) > 1 and kind != "MPO":
        log.warning("%s has %d frames: the first one is used", path, getattr(file, "n_frames", 1))
    jpeg: dict[str, Any] = {}
    if isinstance(file, JpegImagePlugin.JpegImageFile) and file.mode in ("L", "RGB"):
        jpeg = {"qtables": file.quantization, "subsampling": max(JpegImagePlugin.get_sampling(file), 0)}
    if kind != "TIFF":  # which Pillow closes with the last of its pixels; others may have their EXIF block behind them
        file.load()
    exif = _exif(path, file)
    file.load()
    texts = {k: str(v) for k, v in getattr(file, "text", {}).items() if "xmp" not in k and "Raw profile" not in k}
    if isinstance(comment := file.info.get("comment"), bytes):
        texts["comment"] = comment.decode("utf-8", "replace")
    image = _upright(file)
    converted = colours.to_rgb(image)
    xmp = image.info.get("xmp")
    photo = Photo(
        path=path,
        pixels=converted.pixels,
        alpha=converted.alpha,
        is_grey=converted.is_grey,
        suffix={"JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp"}.get(kind, ".png"),
        exif=exif,
        icc=converted.icc,
        xmp=xmp if isinstance(xmp, bytes) else None,
        texts=texts,
        jpeg=jpeg,
        points=None if points is None else np.asarray(points, np.float64),
    )
    if photo.points is not None:
        _check_points(photo, photo.points)
    return photo


def _upright(file: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(file)
    except Exception:  # an EXIF block that is broken says nothing of the orientation
        return file.copy()


def _exif(path: Path, file: Image.Image) -> bytes:
    """A file's EXIF block as it is true of the upright photograph. Pillow leaves out the thumbnail, which shows the
    face before the edit."""
    try:
        exif = Image.Exif()  # a copy: the file's own is still to say how the pixels lie
        exif.load(file.getexif().tobytes())
        turned = exif.get(ORIENTATION, 1) in (5, 6, 7, 8)
        for tag in [tag for tag in exif if tag in LAYOUT_TAGS]:
            del exif[tag]
        folder = exif.get_ifd(EXIF_FOLDER)
        if turned and WIDTH in folder and HEIGHT in folder:
            folder[WIDTH], folder[HEIGHT] = folder[HEIGHT], folder[WIDTH]
        return exif.tobytes() if len(exif) else b""
    except Exception as error:  # as above
        log.warning("%s: its EXIF data are broken and left out (%s)", path, error)
        return b""


def _check_points(photo: Photo, points: Points) -> None:
    height, width = photo.pixels.shape[:2]
    if points.shape != (3, 2):
        raise UserError(f"--points takes three points, x,y x,y x,y: the two eyes and the mouth; got {points.tolist()}")
    if not ((points >= 0) & (points <= (width - 1, height - 1))).all():
        raise UserError(f"{photo.path} has {width} × {height} pixels: --points {points.tolist()} leave it")
    face_quad(points)


def _face(photo: Photo, points: Points, landmarks: Points | None = None, box: Points | None = None) -> Face:
    quad = face_quad(points)
    return Face(photo, points, landmarks, np.concatenate([quad.min(0), quad.max(0)]) if box is None else box, quad)
