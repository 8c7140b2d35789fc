"""Images from disk: files to arrays and tensors; broken ones counted, named and left out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ifgan_pl.core.errors import UserError

log = logging.getLogger(__name__)
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"})
"""Of images; those that Pillow cannot read here are named as broken, rather than left out without a word."""
NAMED = 5
"""How many broken images a warning names; the file of the cache names all."""


def decode(path: str | Path, size: int) -> NDArray[np.uint8]:
    """Centre square of an image file: (3, size, size) uint8 RGB, area averaging down, bicubic up.

    Raises:
        OSError: the file is missing or is not a whole image.
    """
    try:
        with Image.open(path) as file:
            # JPEG decoders halve for nothing; twice the size is kept, so that the averaging below decides
            file.draft("RGB", (2 * size, 2 * size))
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from None
    side = min(image.size)
    method = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.resize((size, size), method, box=(left, top, left + side, top + side))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def decode_or_name(path: str | Path, size: int) -> NDArray[np.uint8] | str:
    """:func:`decode`, or the name of a broken image."""
    try:
        return decode(path, size)
    except OSError:
        return str(path)


def split_broken(
    paths: Sequence[str | Path], decoded: Sequence[NDArray[np.uint8] | str]
) -> tuple[list[str], list[NDArray[np.uint8]], list[str]]:
    """Names of whole images, those images, and names of the broken ones."""
    names = [str(path) for path, image in zip(paths, decoded, strict=True) if not isinstance(image, str)]
    whole = [image for image in decoded if not isinstance(image, str)]
    return names, whole, [name for name in decoded if isinstance(name, str)]


def warn_of_broken(broken: Sequence[str]) -> None:
    """One line that counts broken images and names the first few."""
    if broken:
        more = ", ..." if len(broken) > NAMED else ""
        log.warning("left out %d broken images: %s%s", len(broken), ", ".join(broken[:NAMED]), more)


def to_square(images: Tensor, size: int) -> Tensor:
    """Centre square of images, (N, 3, H, W) -> (N, 3, size, size): area averaging down, bilinear up."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[..., top : top + side, left : left + side]
    if side == size:
        return square
    if side % size == 0:
        return F.avg_pool2d(square, side // size)
    return F.interpolate(square, (size, size), mode="bilinear", antialias=True, align_corners=False)


def to_float(images: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1]; float images as they are."""
    return images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images


def find_images(folder: str | Path) -> list[Path]:
    """The image files below a folder, sorted by path.

    Raises:
        UserError: no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no such folder: {folder}")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    if not found:
        raise UserError(f"no images in {folder} ({', '.join(sorted(EXTENSIONS))})")
    return found
