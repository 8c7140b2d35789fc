"""How soon an edit shows, and whether writing images holds synthesis up.

    python benchmarks/edit_speed.py [--rounds 3] [--faces 32]

The first figure is a whole process, ``edit.py --seeds 0 --attribute smile``. Then the same job three ways, turn about
in one process: images with their files (the edit stage, PNG 1024²), their synthesis alone, their encoding alone.
"""

import argparse
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from timing import ROOT, alternate, spawn

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.cores import workers
from ifgan_pl.core.resources import resource
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.images.write import save_image, to_uint8
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
        edit(edits=["smile=+2"], seeds=f"0-{faces - 1}", formats=["png"], out=str(out), trainer=QUIET)

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--faces", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first_strip(options.rounds, Path(folder))
        overlap(options.rounds, options.faces, Path(folder))


if __name__ == "__main__":
    main()
