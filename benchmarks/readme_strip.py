"""The strip of the README: ``python benchmarks/readme_strip.py docs/strip.jpg``; others are held in each row."""

import sys
from pathlib import Path

import torch
from PIL import Image

from ifgan_pl import Editor, LinearBoundary, load_generator
from ifgan_pl.core.resources import find
from ifgan_pl.images.sheets import draw_strip
from ifgan_pl.images.write import to_uint8

FACES = {"smile": 2, "age": 3, "gender": 1, "eyeglasses": 4, "pose": 0}
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)

boundary = LinearBoundary.load(find("ffhq-mobile-w", "checkpoints", (".safetensors",)))
editor = Editor(load_generator("ffhq-mobile"), boundary)
rows = []
for attribute, face in FACES.items():
    with torch.inference_mode():
        codes = editor.codes([face]).expand(len(STEPS), -1)
        edited = editor.shifted(codes, {attribute: torch.tensor(STEPS)}, hold="all")
        pixels = to_uint8(editor.images(edited, resolution=256))
    rows.append([Image.fromarray(p) for p in pixels])
sheet = draw_strip(
    rows,
    title="ffhq-mobile: one attribute a row, the others held",
    row_labels=list(FACES),
    column_labels=[f"{s:+g} std" if s else "original" for s in STEPS],
    side=200,
)
sheet.save(Path(sys.argv[1]), quality=88)
