"""Images of any mode of Pillow's to eight bits of red, green and blue."""

import io
import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]


class Converted(NamedTuple):
    """An image: (H, W, 3) uint8, (H, W) uint8 or ``None``, whether it had no colours, and the profile of the pixels."""

    pixels: Pixels
    alpha: Pixels | None
    is_grey: bool
    icc: bytes | None


def to_rgb(image: Image.Image) -> Converted:
    """Pixels, transparency and colour profile of an image of any mode.

    RGB stays in its own colour space; other spaces (CMYK, Lab) are shown in sRGB, by their profile where they have one.
    """
    icc = image.info.get("icc_profile")
    image = _eight_bits(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image  # Pillow knows no other way from it
        opacity = np.array(image.convert("RGBA").getchannel("A"))
        alpha = opacity if (opacity < 255).any() else None
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("CMYK", "LAB"):
        pixels, icc = _by_profile(image, icc), None
    else:
        pixels = (image.convert("RGBA") if image.mode == "RGBa" else image).convert("RGB")
    space = b"GRAY" if is_grey else b"RGB "
    return Converted(np.array(pixels), alpha, is_grey, icc if icc and icc[16:20] == space else None)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, of 32, or of floats, in eight; anything else as it is."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        values = values * 255 if values.max(initial=0) <= 1 else values
    elif image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32)
        values = values / 257 if values.max(initial=0) > 255 or image.mode != "I" else values
    else:
        return image
    return Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))


def _by_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK or Lab in sRGB, by the image's profile, or without one as well as can be."""
    target = ImageCms.createProfile("sRGB")
    try:
        if image.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif icc:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        else:
            return image.convert("RGB")
        shown = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        log.warning("its colour profile cannot be used (%s): colours are approximate", error)
        return image.convert("RGB")
    assert shown is not None  # it is where the image isn't converted in place
    return shown
