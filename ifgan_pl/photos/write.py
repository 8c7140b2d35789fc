"""A photograph back to a file: the same size, colours and metadata, and where its changes come from."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import METADATA_KEY, write_bytes
from ifgan_pl.images.write import DESCRIPTION
from ifgan_pl.photos.faces import Photo

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
LARGEST = {".jpg": 65_500, ".jpeg": 65_500, ".png": 2**31 - 1, ".webp": 16_383}
"""The kinds of files that photographs are written as, in Pillow's words, and the pixels that their sides may have."""
XMP_KEY = "XML:com.adobe.xmp"


def save_photo(path: str | Path, photo: Photo, pixels: NDArray[np.uint8], provenance: Mapping[str, Any]) -> None:
    """Write a photograph's changed pixels with its metadata, upright, atomically.

    A JPEG that was one is coded as it was: where the pixels did not change, the decoded file hardly does.
    ``read_provenance`` reads the provenance back: a PNG's text, a JPEG's comment, a WebP's EXIF; what was written in
    that place is kept in it as ``description``.

    Args:
        path: its suffix chooses JPEG, PNG or WebP. JPEG shows what is transparent on white.
        photo: where the pixels come from.
        pixels: (H, W, 3) uint8, as large as the photograph.
        provenance: JSON-able.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in LARGEST:
        raise UserError(f"{path}: photographs are written as {', '.join(LARGEST)}")
    if max(pixels.shape[:2]) > LARGEST[suffix]:
        raise UserError(f"{path}: a {suffix} file has at most {LARGEST[suffix]} pixels a side; write .png")
    if pixels.shape != photo.pixels.shape:
        raise ValueError(f"pixels are {pixels.shape}, the photograph {photo.pixels.shape}")
    image = _image(photo, pixels, opaque=FORMATS[suffix] == "JPEG")
    options: dict[str, Any] = {"icc_profile": photo.icc, "exif": photo.exif}
    if suffix == ".png":
        options |= {"pnginfo": _texts(photo, provenance), "compress_level": 1}
    elif suffix == ".webp":
        options |= {"exif": _described(photo, provenance), "xmp": photo.xmp or b"", "quality": 95}
    else:
        comment = _text(provenance, photo.texts.get("comment"))
        options |= {"comment": comment, "xmp": photo.xmp, **(photo.jpeg or {"quality": 95, "subsampling": 0})}
    data = BytesIO()  # not a file: where a disk is full, Pillow's encoders can cut it off and say nothing
    image.save(data, FORMATS[suffix], **options)
    write_bytes(path, data.getvalue())


def _image(photo: Photo, pixels: NDArray[np.uint8], *, opaque: bool) -> Image.Image:
    image = Image.fromarray(pixels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
        if opaque:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if photo.is_grey:
        image = image.convert("LA" if image.mode == "RGBA" else "L")
    return image


def _text(provenance: Mapping[str, Any], former: str | None) -> str:
    return json.dumps({**provenance, **({"description": former} if former else {})}, sort_keys=True)


def _texts(photo: Photo, provenance: Mapping[str, Any]) -> PngInfo:
    texts = PngInfo()
    for key, value in photo.texts.items():
        if key != METADATA_KEY:
            texts.add_text(key, value)
    texts.add_text(METADATA_KEY, _text(provenance, photo.texts.get(METADATA_KEY)))
    if photo.xmp:
        texts.add_itxt(XMP_KEY, photo.xmp.decode("utf-8", "replace"))
    return texts


def _described(photo: Photo, provenance: Mapping[str, Any]) -> bytes:
    exif = Image.Exif()
    exif.load(photo.exif)
    former = exif.get(DESCRIPTION) or photo.texts.get("comment")
    exif[DESCRIPTION] = _text(provenance, former if isinstance(former, str) else None)
    return exif.tobytes()
