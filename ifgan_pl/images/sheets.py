"""Labelled sheets of faces: a table of faces and edits, and a grid of one edit of many faces."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

GAP, MARGIN = 4, 10
TITLE_SIZE, LABEL_SIZE, CAPTION_SIZE = 20, 16, 13
CAPTION = 20
"""Height of a caption below a cell."""


def draw_strip(
    rows: Sequence[Sequence[Image.Image]],
    *,
    title: str,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
    side: int = 224,
) -> Image.Image:
    """A labelled table of images.

    Args:
        rows: images of any size, all rows of one length.
        title: printed above.
        row_labels, column_labels: one for each row and column.
        captions: one for each image, printed below it; ``None``: none.
        side: of a cell in pixels.
    """
    font = load_font(LABEL_SIZE)
    left = 16 + round(max(font.getlength(label) for label in row_labels))
    line = side + GAP + (CAPTION if captions is not None else 0)
    sheet, draw, top = _blank(title, left + len(column_labels) * (side + GAP), 24 + len(rows) * line)
    for column, label in enumerate(column_labels):
        draw.text((left + column * (side + GAP) + side // 2, top + 8), label, fill="black", font=font, anchor="mm")
    top += 24
    small = load_font(CAPTION_SIZE)
    for row, (label, images) in enumerate(zip(row_labels, rows, strict=True)):
        y = top + row * line
        draw.text((left // 2, y + side // 2), label, fill="black", font=font, anchor="mm")
        for column, image in enumerate(images):
            x = left + column * (side + GAP)
            sheet.paste(scale_to_cell(image, side), (x, y))
            if captions is not None:
                text = captions[row][column]
                draw.text((x + side // 2, y + side + CAPTION // 2), text, fill="black", font=small, anchor="mm")
    return sheet


def draw_grid(
    images: Sequence[Image.Image], *, title: str, labels: Sequence[str], columns: int, side: int = 224
) -> Image.Image:
    """A contact sheet: images row by row, each with its label below.

    Args:
        images: of any size.
        title: printed above.
        labels: one an image.
        columns: images a row.
        side: of a cell in pixels.
    """
    font = load_font(LABEL_SIZE)
    line = side + 26
    sheet, draw, top = _blank(title, columns * (side + GAP) + GAP, ceil(len(images) / columns) * line)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        x, y = GAP + i % columns * (side + GAP), top + i // columns * line
        sheet.paste(scale_to_cell(image, side), (x, y))
        draw.text((x + side // 2, y + side + 11), label, fill="black", font=font, anchor="mm")
    return sheet


def scale_to_cell(image: Image.Image, side: int) -> Image.Image:
    """An image of any size as a square cell of ``side`` pixels, Lanczos."""
    if image.size == (side, side):
        return image
    return image.resize((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)


def load_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: Pillow's own has no ² and no letters beyond Latin."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _blank(title: str, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A sheet with its title, in as many lines as it needs, and where the content (of ``height``) begins."""
    font = load_font(TITLE_SIZE)
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width - 2 * MARGIN:
            lines.append(word)
        else:
            lines[-1] = longer
    width = max(width, *(round(font.getlength(line)) + 2 * MARGIN for line in lines))
    top = MARGIN + len(lines) * (TITLE_SIZE + 6) + 8
    sheet = Image.new("RGB", (width, top + height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(lines):
        draw.text((MARGIN, 8 + i * (TITLE_SIZE + 6)), line, fill="black", font=font)
    return sheet, draw, top
