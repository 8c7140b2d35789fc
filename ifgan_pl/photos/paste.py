"""An edited aligned face goes back into the photograph that it was cut from: the change alone is carried over."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ifgan_pl.photos.alignment import apply, inverse, side, similarity

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
Change = NDArray[np.float32]

RIM, FEATHER = 0.01, 0.14
"""The change is nought up to RIM from the quad's edges, and whole from RIM + FEATHER inwards, in sides of the quad."""
GRID, REACH = 64, 0.12
"""Colours are matched on a grid of GRID², by a Gaussian of standard deviation REACH, in sides of the quad."""
STEADINESS = 300.0
"""Variance of colours at the rim, in squared levels, below which a gain of 1 is preferred to the one that fits."""
ROWS = 256
"""Rows of the photograph that are changed at once."""


def paste(
    pixels: Pixels,
    quad: Points,
    before: NDArray[Any],
    after: NDArray[Any],
    *,
    match: bool = False,
) -> Pixels:
    """Carry the change of an aligned image into the photograph, at the photograph's own resolution.

    ``after - before`` is added to the pixels, feathered towards the quad's edges. What the aligned image can't show
    stays (finer detail, noise); where nothing changed, and outside the quad, so does every byte.

    Args:
        pixels: (H, W, 3) uint8, the upright photograph; it is not changed.
        quad: (4, 2), where the aligned image lies in it.
        before, after: (S, S, 3) of any dtype, values 0 to 255: the aligned image, or what a generator made of it,
            without and with the edit.
        match: match the colours at the rim first, see :func:`match_colours`.

    Returns:
        (H, W, 3) uint8.
    """
    if before.shape != after.shape or before.ndim != 3 or before.shape != (len(before), len(before), 3):
        raise ValueError(f"before is {before.shape}, after {after.shape}; expected both (S, S, 3)")
    if match:
        after = match_colours(before, after, _seen(pixels, quad))
    change = np.subtract(after, before, dtype=np.float32)
    change = change * feather(len(change))[..., None]
    result = pixels.copy()
    lowest, highest = np.floor(quad.min(0)).astype(int), np.ceil(quad.max(0)).astype(int) + 1
    left, top = np.maximum(lowest, 0)
    right, bottom = np.minimum(highest, (pixels.shape[1], pixels.shape[0]))
    if left >= right:
        return result
    for start in range(top, bottom, ROWS):
        stop = min(start + ROWS, bottom)
        part = result[start:stop, left:right]
        part[:] = np.rint(part + warp(change, quad, (left, start, right, stop))).clip(0, 255)
    return result


def warp(change: Change, quad: Points, box: tuple[int, int, int, int]) -> Change:
    """An aligned (S, S, 3) array in a box (left, top, right, bottom) of the photograph; nought outside the quad.

    Interpolation is bicubic; where the photograph has fewer pixels than the array, the array is averaged first.
    """
    size = min(len(change), max(1, round(side(quad))))
    left, top, right, bottom = box
    matrix = inverse(similarity(quad, size))
    # Pillow counts from the corners of pixels, these maps from their centres
    offset = apply(matrix, np.array([left - 0.5, top - 0.5])) + 0.5
    coefficients = (*matrix[0, :2], offset[0], *matrix[1, :2], offset[1])
    planes = []
    for plane in np.moveaxis(change, 2, 0):
        image = Image.fromarray(np.ascontiguousarray(plane))
        if size < len(change):
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        shape = (right - left, bottom - top)
        image = image.transform(shape, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
        planes.append(np.asarray(image))
    return np.stack(planes, axis=2)


def feather(size: int) -> NDArray[np.float32]:
    """Weights (size, size) in [0, 1]: 1 inside, falling smoothly to 0 before the edges."""
    place = (np.arange(size) + 0.5) / size
    ramp = ((np.minimum(place, 1 - place) - RIM) / FEATHER).clip(0, 1)
    ramp = ramp**3 * (6 * ramp**2 - 15 * ramp + 10)  # no corner in it, nor in its slope
    return np.outer(ramp, ramp).astype(np.float32)


def match_colours(before: NDArray[Any], after: NDArray[Any], seen: NDArray[np.float64] | None = None) -> Change:
    """``after`` with the colours of ``before`` at the rim, continued inwards, so that a paste shows no seam.

    A gain and an offset for each channel first (least squares over the rim), then what differs in low frequencies.
    It takes an edit of the rim back: for images that should agree there, but do not.

    Args:
        before, after: (S, S, 3), values 0 to 255.
        seen: (GRID, GRID) in [0, 1], the cells that count; ``None``: all.

    Returns:
        (S, S, 3) float32.
    """
    place = (np.arange(GRID) + 0.5) / GRID
    nearness = np.exp(-(((place[:, None] - place) / REACH) ** 2) / 2)
    weights = (1 - feather(GRID)) * (1 if seen is None else seen) + 1e-12
    near = nearness @ weights @ nearness
    planes = []
    for old, new in zip(np.moveaxis(before, 2, 0), np.moveaxis(after, 2, 0), strict=True):
        target, source = _resized(old, GRID, Image.Resampling.BOX), _resized(new, GRID, Image.Resampling.BOX)
        mean, target_mean = np.average(source, weights=weights), np.average(target, weights=weights)
        covariance = np.average((source - mean) * (target - target_mean), weights=weights)
        gain = (covariance + STEADINESS) / (np.average((source - mean) ** 2, weights=weights) + STEADINESS)
        offset = target_mean - gain * mean
        rest = nearness @ (weights * (gain * source + offset - target)) @ nearness / near
        planes.append(gain * new + offset - _resized(rest, len(after), Image.Resampling.BICUBIC))
    return np.stack(planes, axis=2).astype(np.float32)


def _resized(plane: NDArray[Any], size: int, method: Image.Resampling) -> NDArray[np.float64]:
    """A plane (S, S) at another size."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((size, size), method), np.float64)


def _seen(pixels: Pixels, quad: Points) -> NDArray[np.float64]:
    """Which cells of a quad lie in the photograph, (GRID, GRID) of 0 and 1."""
    down, across = np.mgrid[:GRID, :GRID]
    x, y = np.moveaxis(apply(similarity(quad, GRID), np.stack([across, down], axis=-1)), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x <= pixels.shape[1] - 1) & (y <= pixels.shape[0] - 1)
    return np.asarray(inside, np.float64)
