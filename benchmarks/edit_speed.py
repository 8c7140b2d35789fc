"""How soon an edit shows, and whether writing images holds synthesis up.

    python benchmarks/edit_speed.py [first | overlap | png] [--rounds 3] [--faces 32]

``first`` is a whole process, ``edit.py --seeds 0 --attribute smile``. ``overlap`` does the same job three ways, turn
about in one process: images with their files (the edit stage, PNG 1024²), their synthesis alone, their encoding alone.
``png`` encodes the same faces on one core by this package's PNG encoder and by Pillow's, turn about.
"""

import argparse
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image
from timing import ROOT, alternate, spawn

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.cores import workers
from ifgan_pl.core.resources import resource
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.images.write import png, save_image, to_uint8
from ifgan_pl.stages.edit import edit
from ifgan_pl.stages.trainer import make_trainer, open_generator

QUIET: dict[str, Any] = {"enable_progress_bar": False, "accelerator": "cpu"}


def first_strip(rounds: int, folder: Path) -> None:
    """Seconds from the command to its strip."""

    def run() -> None:
        out = folder / "first"
        shutil.rmtree(out, ignore_errors=True)
        process = spawn(str(ROOT / "edit.py"), "--seeds", "0", "--attribute", "smile", "--out", str(out))
        if process.wait() or not (out / "strip.png").exists():
            raise RuntimeError("edit.py failed")

    seconds = statistics.median(alternate({"edit.py": run}, rounds)["edit.py"])
    print(f"edit.py --seeds 0 --attribute smile: {seconds:.1f} s (12 asked)")


def overlap(rounds: int, faces: int, folder: Path) -> None:
    """Images a second with files, of synthesis alone and of encoding alone."""
    editor = Editor(
        load_generator("ffhq-mobile"), LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    )
    images = 2 * faces  # the original and the edited one
    codes = editor.codes(range(faces))
    with torch.inference_mode():
        pixels = to_uint8(editor.images(codes))
    numerics = open_generator("ffhq-mobile", make_trainer(QUIET, ""), QUIET, compile=False)[1]

    def with_files() -> None:
        out = folder / "edits"
        shutil.rmtree(out, ignore_errors=True)
        edit(edit=["smile=+2"], seeds=f"0-{faces - 1}", format=["png"], out=str(out), trainer=QUIET)

    def synthesis() -> None:
        with torch.inference_mode():
            for start in range(0, faces, 4):  # the stage's batch size
                some = codes[start : start + 4]
                for each in (some, editor.shifted(some, {"smile": 2.0})):
                    to_uint8(editor.images(each))

    def encoding() -> None:
        with ThreadPoolExecutor(workers()) as pool:
            jobs = [
                pool.submit(save_image, folder / "encoded" / f"{i}.png", pixels[i % faces], {}) for i in range(images)
            ]
            for job in jobs:
                job.result()

    calls = {"with files": with_files, "synthesis alone": synthesis, "encoding alone": encoding}
    with patch("ifgan_pl.stages.edit.open_generator", return_value=(editor.generator, numerics)):
        times = alternate(calls, rounds)
    for name, values in times.items():
        print(f"{name}: {images / statistics.median(values):.2f} images/s")
    slower = [max(pair) for pair in zip(times["synthesis alone"], times["encoding alone"], strict=True)]
    share = statistics.median(s / t for s, t in zip(slower, times["with files"], strict=True))
    print(f"with files / smaller of the two: {share:.2f} (.90 asked)")


def png_encoders(rounds: int, faces: int) -> None:
    """Milliseconds and KiB a face of 1024²."""
    editor = Editor(
        load_generator("ffhq-mobile"), LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    )
    with torch.inference_mode():
        pixels = to_uint8(editor.images(editor.codes(range(faces))))
    sizes: dict[str, int] = {}

    def ours() -> None:
        sizes["this package"] = sum(len(png(face, {})) for face in pixels)

    def pillow(name: str, **options: int) -> None:
        sizes[name] = 0
        for face in pixels:
            data = BytesIO()
            Image.fromarray(face).save(data, "png", **options)
            sizes[name] += data.tell()

    names = {"Pillow, level 1": {"compress_level": 1}, "Pillow, default level": {}}
    calls = {"this package": ours} | {name: partial(pillow, name, **options) for name, options in names.items()}
    times = alternate(calls, rounds)
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, times["this package"], strict=True))
        each, size = 1000 * statistics.median(values) / faces, sizes[name] / faces / 1024
        print(f"PNG by {name}: {each:.0f} ms and {size:.0f} KiB a face, {ratio:.1f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["all", "first", "overlap", "png"], default="all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--faces", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.part in ("all", "first"):
            first_strip(options.rounds, Path(folder))
        if options.part in ("all", "overlap"):
            overlap(options.rounds, options.faces, Path(folder))
    if options.part in ("all", "png"):
        png_encoders(options.rounds, options.faces)


if __name__ == "__main__":
    main()
