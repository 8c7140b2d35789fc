"""FFHQ alignment: the square that FFHQ's images show of a face, and the image inside it.

The recipe is that of the data set (Karras et al., A Style-Based Generator Architecture for GANs, CVPR 2019).

Points are (x, y) in pixels of the photograph, whole numbers at the centres of pixels. A quad is (4, 2): the corners of
the square in the order upper left, lower left, lower right, upper right as seen in the face's own, upright frame.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageFilter

from ifgan_pl.core.errors import UserError

Points = NDArray[np.float64]
Pixels = NDArray[np.uint8]

OVERSAMPLING = 4
"""The quad is sampled at this many times the size that is asked for (FFHQ: 4096 for 1024), then averaged down."""
BORDER, PAD, BLUR = 0.1, 0.3, 0.02
"""Margin of the crop, least padding, and standard deviation of the padding's blur, in sides of the quad."""
FLAT = 0.05
"""Least area that the lines between the eyes and to the mouth span, in squares of the longer one."""


def eyes_and_mouth(landmarks: ArrayLike) -> Points:
    """The eye at the image's left, the eye at its right and the mouth, (3, 2), of 68 landmarks in iBUG's order."""
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2):
        raise ValueError(f"landmarks are {points.shape}, expected (68, 2)")
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), (points[48] + points[54]) / 2])


def face_quad(points: ArrayLike) -> Points:
    """FFHQ's square around a face.

    Args:
        points: (3, 2): centres of the two eyes, in either order, and of the mouth.

    Returns:
        (4, 2) float64: a square. It may leave the photograph.

    Raises:
        UserError: the points are not finite, or lie on one line.
    """
    left, right, mouth = np.asarray(points, np.float64).reshape(3, 2)
    eyes, down = right - left, mouth - (left + right) / 2
    turn = eyes[0] * down[1] - eyes[1] * down[0]
    if not abs(turn) > FLAT * max(eyes @ eyes, down @ down):
        raise UserError("the two eyes and the mouth must be three different points, not on one line")
    if turn < 0:  # the eyes came in the other order
        left, right, eyes = right, left, -eyes
    x = eyes - np.array([-down[1], down[0]])
    x *= max(2 * np.hypot(*eyes), 1.8 * np.hypot(*down)) / np.hypot(*x)
    return square((left + right) / 2 + 0.1 * down, x)


def square(centre: Points, x: Points) -> Points:
    """The quad (4, 2) around a centre (2,), with x (2,) pointing to the middle of its right side."""
    y = np.array([-x[1], x[0]])
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def side(quad: Points) -> float:
    """Length of a side of a quad, in pixels of the photograph."""
    return float(np.hypot(*(quad[3] - quad[0])))


def similarity(quad: Points, size: int) -> Points:
    """The map (2, 3) from pixels of the aligned image of ``size``² to pixels of the photograph: A p + t."""
    across, down = (quad[3] - quad[0]) / size, (quad[1] - quad[0]) / size
    return np.stack([across, down, quad[0] + (across + down) / 2], axis=1)


def inverse(transform: Points) -> Points:
    """The map (2, 3) that undoes a map (2, 3)."""
    back = np.linalg.inv(transform[:, :2])
    return np.concatenate([back, -back @ transform[:, 2:]], axis=1)


def apply(transform: Points, points: ArrayLike) -> Points:
    """Points (..., 2) under a map (2, 3)."""
    return np.asarray(points, np.float64) @ transform[:, :2].T + transform[:, 2]


def align(pixels: Pixels, quad: Points, size: int = 1024) -> Pixels:
    """The image inside a quad; where the quad leaves the photograph, its mirror image, blurred, fading to one colour.

    Args:
        pixels: (H, W, 3) uint8, the upright photograph.
        quad: (4, 2), as of :func:`face_quad`.
        size: side of the result.

    Returns:
        (size, size, 3) uint8.
    """
    image, quad = _shrink(pixels, quad, max(1, int(side(quad) / size / 2)))
    border = max(round(BORDER * side(quad)), 3)
    image, quad = _pad(image, quad, border)
    corners = tuple(float(v) for v in (quad + 0.5).ravel())
    sampled = (OVERSAMPLING * size,) * 2
    image = image.transform(sampled, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _bounds(quad: Points, margin: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box of whole pixels around a quad."""
    (left, top), (right, bottom) = np.floor(quad.min(0)), np.ceil(quad.max(0))
    return int(left) - margin, int(top) - margin, int(right) + margin, int(bottom) + margin


def _shrink(pixels: Pixels, quad: Points, factor: int) -> tuple[Image.Image, Points]:
    """The part of a photograph around a quad, ``factor`` times smaller, and the quad in it."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    small = (quad + 0.5) / factor - 0.5
    left, top, right, bottom = _bounds(small, max(round(BORDER * side(small)), 3))
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        raise UserError("the face lies outside the photograph")
    part = Image.fromarray(pixels[top * factor : bottom * factor, left * factor : right * factor])
    if factor > 1:
        part = part.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
    return part, small - (left, top)


def _pad(image: Image.Image, quad: Points, border: int) -> tuple[Image.Image, Points]:
    """Continue an image beyond its edges, where a quad needs it: reflected, blurred, towards the median at the rim."""
    left, top, right, bottom = _bounds(quad, border)
    pads = np.array([-left, -top, right - image.width, bottom - image.height])
    if pads.max() <= border - 4:
        return image, quad
    left, top, right, bottom = (int(p) for p in np.maximum(pads, round(PAD * side(quad))))
    image = Image.fromarray(np.pad(np.asarray(image), ((top, bottom), (left, right), (0, 0)), "reflect"))
    x, y = np.arange(image.width, dtype=np.float32), np.arange(image.height, dtype=np.float32)
    inside_x = np.minimum(x / left, x[::-1] / right)
    inside_y = np.minimum(y / top, y[::-1] / bottom)
    outside = 1 - np.minimum(inside_x[None, :], inside_y[:, None])  # 1 at the rim, 0 at the photograph's edge
    image.paste(image.filter(ImageFilter.GaussianBlur(BLUR * side(quad))), mask=_mask(3 * outside + 1))
    median = tuple(int(v) for v in np.rint(np.median(np.asarray(image), axis=(0, 1))))
    image.paste(median, (0, 0, *image.size), _mask(outside))
    return image, quad + np.array([left, top])


def _mask(weights: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.rint(weights.clip(0, 1) * 255).astype(np.uint8))
