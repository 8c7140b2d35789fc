from typing import Any

import numpy as np
from PIL import Image

from ifgan_pl.images.sheets import CAPTION, GAP, draw_grid, draw_strip, load_font

LONG = "generator-with-a-name: smile +2 std, age -1 std, hold gender eyeglasses pose (128² native)"


def inked(sheet: Image.Image, columns: slice) -> bool:
    """Whether something dark stands in these columns."""
    return bool((np.asarray(sheet.convert("L"))[:, columns] < 128).any())


def test_long_titles_are_not_cut_off() -> None:
    white = Image.new("RGB", (20, 20), "white")
    for sheet in (
        draw_strip([[white]], title=LONG, row_labels=["7"], column_labels=["original"], side=100),
        draw_grid([white], title=LONG, labels=["7"], columns=1, side=100),
    ):
        assert not inked(sheet, slice(-5, None))  # a title that is cut off reaches the edge
        assert sheet.width < 400  # it is broken into lines instead
        word = draw_grid([white], title=LONG.replace(" ", "-"), labels=["7"], columns=1, side=100)
        assert not inked(word, slice(-5, None))


def test_each_image_stands_in_its_cell() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    images = [Image.new("RGB", (64, 64), c) for c in colours]
    grid = draw_grid(images, title="t", labels=["1", "2", "3"], columns=2, side=50)
    assert [grid.getpixel((30, grid.height - 40)), grid.getpixel((30, grid.height - 120))] == [colours[2], colours[0]]
    strip = draw_strip([images], title="t", row_labels=["1"], column_labels=["a", "b", "c"], side=50)
    assert strip.getpixel((strip.width - 20, strip.height - 20)) == colours[2]


def test_captions_stand_below_their_cells() -> None:
    white = Image.new("RGB", (100, 100), "white")
    options: dict[str, Any] = {"title": "t", "row_labels": ["1", "2"], "column_labels": ["a", "b"], "side": 100}
    plain = draw_strip([[white] * 2] * 2, **options)
    sheet = draw_strip([[white] * 2] * 2, captions=[["", "identity"], ["", ""]], **options)
    assert (sheet.width, sheet.height) == (plain.width, plain.height + 2 * CAPTION)
    dark = np.argwhere(np.asarray(sheet.convert("L"))[:, -100:] < 128)[:, 0]
    below = plain.height - 2 * (100 + GAP) + 100  # the first row of cells ends there
    assert ((dark < below - 90) | ((dark >= below) & (dark < below + CAPTION))).all()
    assert (dark >= below).any()


def test_the_font_has_the_letters_of_the_titles() -> None:
    font = load_font(20)
    missing = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    for letter in "²αψéЖ+-":
        assert (font.getmask(letter).getbbox(), bytes(font.getmask(letter))) != missing
