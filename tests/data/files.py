"""Small data sets, written to disk in the layout of the real ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write_folder(folder: Path, count: int = 23, size: int = 20, **columns: Sequence[Any]) -> tuple[Path, Path]:
    """Plain grey images, image i of grey level 10 i, and a table."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (size + i % 3, size), (10 * i,) * 3).save(folder / f"{i:03d}.png")
    lines = [",".join(["file", *columns])]
    lines += [",".join([f"{i:03d}.png", *(str(c[i]) for c in columns.values())]) for i in range(count)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder, folder / "labels.csv"


def write_celeba(folder: Path, names: Sequence[str], count: int = 30) -> None:
    """``folder/celeba`` as it is unpacked: spacing, headers and signs of the published files."""
    folder = folder / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows: dict[str, list[str]] = {name: [] for name in ("attr", "landmarks", "partition", "bbox", "identity")}
    for i in range(1, count + 1):
        name = f"{i:06d}.jpg"
        Image.fromarray(generator.integers(0, 256, (218, 178, 3), np.uint8)).save(folder / "img_align_celeba" / name)
        rows["attr"].append(f"{name} " + " ".join(" 1" if (i >> k % 4) & 1 else "-1" for k in range(len(names))))
        rows["landmarks"].append(f"{name}    69  111  107  112   {80 + i % 17}  135   73  152  108  153")
        rows["partition"].append(f"{name} {0 if i <= 20 else 1 if i <= 25 else 2}")
        rows["bbox"].append(f"{name}    10  20 100 120")
        rows["identity"].append(f"{name} {i}")
    points = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    files = {
        "list_attr_celeba.txt": [str(count), " ".join(names) + " ", *rows["attr"]],
        "list_landmarks_align_celeba.txt": [str(count), points, *rows["landmarks"]],
        "list_eval_partition.txt": rows["partition"],
        "list_bbox_celeba.txt": [str(count), "image_id x_1 y_1 width height", *rows["bbox"]],
        "identity_CelebA.txt": rows["identity"],
    }
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")
