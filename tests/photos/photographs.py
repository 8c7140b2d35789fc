"""A real photograph that is on every machine, and what tests do to it."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import cbook
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

HOPPER = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
"""Rear Admiral Grace Hopper, an official portrait of the US Navy, public domain, 512 × 600: ships with matplotlib."""
HOPPER_POINTS = np.array([[222.0, 190.0], [304.0, 186.0], [270.0, 279.0]])
"""Her eyes and her mouth, read off by eye."""


@cache
def hopper() -> Pixels:
    """(600, 512, 3) uint8, read only."""
    with Image.open(HOPPER) as image:
        pixels = np.array(image.convert("RGB"))
    pixels.flags.writeable = False
    return pixels


def rolled(pixels: Pixels, degrees: float) -> Pixels:
    """An image turned counterclockwise in a frame that holds all of it."""
    image = Image.fromarray(pixels)
    return np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 120, 180)))


def rolled_points(points: NDArray[np.float64], pixels: Pixels, degrees: float) -> NDArray[np.float64]:
    """Where points of an image are in :func:`rolled`."""
    after = rolled(pixels, degrees)
    centres = [(np.array(p.shape[1::-1]) - 1) / 2 for p in (pixels, after)]
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((points - centres[0]) @ turn.T + centres[1])


def party(folder: Path) -> Path:
    """A folder of photographs: one of one face, one of two, a broken one, and one of none."""
    folder.mkdir(parents=True)
    shutil.copy(HOPPER, folder / "me.jpg")
    group = Image.new("RGB", (700, 420), (90, 120, 180))
    for x, scale in ((10, 0.55), (300, 0.65)):
        size = (round(512 * scale), round(600 * scale))
        group.paste(Image.fromarray(hopper()).resize(size, Image.Resampling.LANCZOS), (x, 20))
    group.save(folder / "group.png")
    (folder / "broken.jpg").write_bytes(HOPPER.read_bytes()[:20_000])
    Image.new("RGB", (300, 200), "beige").save(folder / "wall.png")
    return folder
