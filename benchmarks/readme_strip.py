"""The strips of the README, the five core attributes held: ``python benchmarks/readme_strip.py docs/strip.jpg``, and
``python benchmarks/readme_strip.py docs/attributes.jpg labels`` of the attributes from labels."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ifgan_pl import Editor, LinearBoundary, load_generator
from ifgan_pl.core.resources import find
from ifgan_pl.images.sheets import draw_strip
from ifgan_pl.images.write import to_uint8

FACES = {"smile": 2, "age": 3, "gender": 1, "eyeglasses": 4, "pose": 0}
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
FROM_LABELS: tuple[str, ...] = (
    "beard",
    "bangs",
    "long_hair",
    "blond_hair",
    "black_hair",
    "grey_hair",
    "curly_hair",
    "bald",
    "hat",
)
FROM_LABELS += ("lipstick", "mouth_open", "earrings")
LOOKED_AT = (300008, 300005, 300000)
"""Faces that took no part in anything."""
TOGETHER = ({"hat": 2.0, "beard": 1.5}, {"black_hair": 3.0, "bangs": 2.0}, {"curly_hair": 2.0, "smile": 1.0})

boundary = LinearBoundary.load(find("ffhq-mobile-w", "checkpoints", (".safetensors",)))
editor = Editor(load_generator("ffhq-mobile"), boundary)


@torch.inference_mode()
def edited(faces: list[int], changes: Mapping[str, float | torch.Tensor]) -> np.ndarray:
    """Pixels (n, 256, 256, 3) of faces."""
    codes = editor.codes(faces)
    codes = editor.shifted(codes, changes, hold="all") if changes else codes
    return np.stack([*to_uint8(editor.images(codes, resolution=256))])


def one_attribute_a_row() -> Image.Image:
    steps = torch.tensor(STEPS)
    rows = [edited([face] * len(STEPS), {attribute: steps}) for attribute, face in FACES.items()]
    return draw_strip(
        [[Image.fromarray(p) for p in pixels] for pixels in rows],
        title="ffhq-mobile: one attribute a row, the others held",
        row_labels=list(FACES),
        column_labels=[f"{s:+g} std" if s else "original" for s in STEPS],
        side=200,
    )


def attributes_from_labels() -> Image.Image:
    before = edited(list(LOOKED_AT), {})
    edits = [*({name: 2.0} for name in FROM_LABELS), *TOGETHER]
    rows = []
    for changes in edits:
        after = edited(list(LOOKED_AT), changes)
        rows.append([Image.fromarray(p) for pair in zip(before, after, strict=True) for p in pair])
    return draw_strip(
        rows,
        title="ffhq-mobile: attributes from labels, by standard deviations, the five core attributes held",
        row_labels=[" ".join(f"{name}{value:+g}" for name, value in changes.items()) for changes in edits],
        column_labels=["original", "edited"] * len(LOOKED_AT),
        side=160,
    )


sheet = attributes_from_labels() if sys.argv[2:] == ["labels"] else one_attribute_a_row()
sheet.save(Path(sys.argv[1]), quality=88)
