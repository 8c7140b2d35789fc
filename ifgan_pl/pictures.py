"""Pictures on disk: tensors to files with provenance, and labelled strips."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from ifgan_pl.artefacts import METADATA_KEY, atomic_path

PNG_LEVEL = 1
"""zlib level: a 1024² PNG takes .08 s at level 1 and .44 s at Pillow's default, for 10 % fewer bytes."""
FORMATS = ("png", "jpg", "webp")


def to_uint8(pictures: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(N, 3, H, W) float in [-1, 1], clipped -> (N, H, W, 3) uint8."""
    scaled = pictures.detach().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def save_picture(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint8]], provenance: Mapping[str, Any]) -> None:
    """Write (H, W, 3) uint8 atomically; the suffix chooses the format. PNG text and EXIF comment carry provenance."""
    image = Image.fromarray(pixels)
    text = json.dumps(provenance, sort_keys=True)
    with atomic_path(path) as temporary:
        if path.suffix == ".png":
            info = PngImagePlugin.PngInfo()
            info.add_text(METADATA_KEY, text)
            image.save(temporary, compress_level=PNG_LEVEL, pnginfo=info)
        else:
            exif = Image.Exif()
            exif[0x010E] = text  # ImageDescription
            image.save(temporary, quality=95, exif=exif)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """What :func:`save_picture` wrote beside the pixels; {} for another picture."""
    with Image.open(path) as image:
        text = image.info.get(METADATA_KEY) or image.getexif().get(0x010E) or "{}"
    return dict(json.loads(text))


def draw_strip(
    rows: Sequence[Sequence[Image.Image]],
    *,
    title: str,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    side: int = 224,
) -> Image.Image:
    """A labelled table of pictures.

    Args:
        rows: pictures of any size, all rows of one length.
        title: printed above.
        row_labels, column_labels: one for each row and column.
        side: of a cell in pixels.
    """
    font = ImageFont.load_default(17)
    left = 16 + round(max(font.getlength(label) for label in row_labels))
    top, gap = 74, 4
    width = left + len(column_labels) * (side + gap)
    height = top + len(rows) * (side + gap)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 8), title, fill="black", font=ImageFont.load_default(20))
    for column, label in enumerate(column_labels):
        draw.text((left + column * (side + gap) + side // 2, top - 20), label, fill="black", font=font, anchor="mm")
    for line, (label, pictures) in enumerate(zip(row_labels, rows, strict=True)):
        y = top + line * (side + gap)
        draw.text((left // 2, y + side // 2), label, fill="black", font=font, anchor="mm")
        for column, picture in enumerate(pictures):
            cell = picture if picture.size == (side, side) else picture.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(cell, (left + column * (side + gap), y))
    return sheet
