"""Edits as eyes read them that do not know what was asked: sheets of faces in random order, and what readings say.

    python benchmarks/blind_sheets.py readings FOLDER    # 40 faces, each as it is and with ten edits of 1.5 std
    python benchmarks/blind_sheets.py flaws FOLDER       # 64 faces, five edits of 2 std each, before and after
    python benchmarks/blind_sheets.py plain FOLDER       # the twelve attributes from labels, 16 faces, +2 and +3 std
    python benchmarks/blind_sheets.py besides FOLDER     # 20 faces, as they are and with twelve edits of 1.5 std
    python benchmarks/blind_sheets.py score FILE.csv…    # of one or several readers; --sheets besides: of those

The first four draw numbered sheets; a reader, who has seen no edit of these faces with its name, writes a CSV with a
line for each number, by this protocol:

    eyeglasses   1 a frame is there, 0 none is, 0.5 parts of one
    smile        0 none, 1 slight, 2 plain, 3 broad
    male         1 taken for a man, 0 for a woman, 0.5 undecided
    age          in years, as guessed; to the nearest five
    flaw         of the sheets of flaws only: 1 where the image is torn: a second head, broken glasses, a melted
                 background, hands of no body; what a generator gets wrong in most faces (ears, earrings) is none
    plain        of the sheets named after an attribute only: 1 where the face plainly has it, 0 where not

``score`` gives, for each edit, the mean change of each reading between a face and its edit in standard deviations of
the readings of faces as they are, half the difference of + and −, with the standard error over faces; or how many show
a flaw with edits by normals (``sqrt``, before) and by gradients (``image``, after); or how many faces plainly have an
attribute as they are, at +2 and at +3 std. ``readings`` writes the shipped scorer's own readings of the same images
beside the sheets, ``scorer.csv``, to be scored like a reader's. The CSVs in ``benchmarks/blind/`` are those of RESULTS.
What a number stands for follows from the seed. Full synthesis.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.progress import CountBar
from ifgan_pl.core.resources import resource
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.images.sheets import draw_grid
from ifgan_pl.images.write import to_uint8
from ifgan_pl.scorer.loading import load_scorer

NAMES = ("eyeglasses", "smile", "male", "age", "yaw")
READ = ("eyeglasses", "smile", "male", "age")
FROM_LABELS = (
    *("beard", "bangs", "long_hair", "blond_hair", "black_hair", "grey_hair"),
    *("curly_hair", "bald", "hat", "lipstick", "mouth_open", "earrings"),
)
SHEET = {"readings": (5, 5, 256), "flaws": (8, 5, 192), "plain": (8, 6, 192), "besides": (5, 5, 256)}
"""Columns and rows of a sheet, and the side of its images."""
EDITED = {"readings": (NAMES, 40), "besides": (FROM_LABELS, 20)}
"""Of sheets whose faces are read: the edits, and how many faces."""
FACES_SEED = 51127
ORDER_SEED = 7
SIDE = 256
Item = tuple[int, str, float, str]
"""A face's index, the attribute that is edited ("": none), by how many std, and the metric."""


def items(kind: str, names: Sequence[str] = (), count: int = 0) -> list[Item]:
    """What is on the sheets, in their order; of edited faces, edits and a number of faces of one's own may be given."""
    found: list[Item] = []
    if kind in EDITED:
        names, count = names or EDITED[kind][0], count or EDITED[kind][1]
        for face in range(count):
            found += [(face, "", 0.0, "image")]
            found += [(face, name, sign * 1.5, "image") for name in names for sign in (1, -1)]
    elif kind == "flaws":
        signs = np.random.default_rng(ORDER_SEED).choice([-2.0, 2.0], size=(64, len(NAMES)))
        for face in range(64):
            for name, strength in zip(NAMES, signs[face], strict=True):
                found += [(face, name, float(strength), metric) for metric in ("sqrt", "image")]
    else:  # a sheet is of one attribute
        order = np.random.default_rng(ORDER_SEED)
        for name in FROM_LABELS:
            sheet = [(face, name, strength, "image") for face in range(16) for strength in (0.0, 2.0, 3.0)]
            found += [sheet[i] for i in order.permutation(len(sheet))]
        return found
    return [found[i] for i in np.random.default_rng(ORDER_SEED).permutation(len(found))]


def draw(kind: str, todo: list[Item], folder: Path, boundary: LinearBoundary, skip: int) -> None:
    """Write the sheets of a kind, of faces behind the first ``skip``."""
    editor = Editor(load_generator("ffhq-mobile"), boundary)
    columns, rows, side = SHEET[kind]
    folder.mkdir(parents=True, exist_ok=True)
    images: list[Image.Image] = []
    scorer = load_scorer(resource("checkpoints/scorer-faces.ckpt"))
    kept = [list(scorer.attributes).index(name) for name in READ]
    scores: list[list[float]] = []
    with CountBar("drawing", len(todo)) as bar, torch.inference_mode():
        for start in range(0, len(todo), columns * rows):
            for face, name, strength, metric in todo[start : start + columns * rows]:
                codes = editor.codes([skip + face], seed=FACES_SEED)
                if strength:
                    codes = editor.shifted(codes, {name: strength}, hold="all", metric=metric)
                image = editor.images(codes, resolution=SIDE)
                scores.append(scorer(image)[0, kept].tolist())
                images.append(Image.fromarray(to_uint8(image)[0]))
                bar.advance(1)
            labels = [str(start + i) for i in range(len(images))]
            title = name.replace("_", " ") if kind == "plain" else ""
            sheet = draw_grid(images, title=title, labels=labels, columns=columns, side=side)
            sheet.save(folder / f"{kind}-{start // (columns * rows):02d}.png")
            images.clear()
    if kind in EDITED:
        with (folder / "scorer.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["number", *READ])
            writer.writerows([i, *(f"{score:.3f}" for score in row)] for i, row in enumerate(scores))


def read(path: Path) -> dict[int, dict[str, float]]:
    """Number -> readings of a file; columns that are left empty are NaN."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    return {int(line.pop("number")): {key: float(value or "nan") for key, value in line.items()} for line in lines}


def table(readings: dict[int, dict[str, float]], done: list[Item]) -> None:
    """Print what edits change, as they were read."""
    values = {
        (face, name, np.sign(strength)): np.array([readings[i][key] for key in READ])
        for i, (face, name, strength, _) in enumerate(done)
        if i in readings
    }
    plain = {face: found for (face, name, _), found in values.items() if not name}
    std = np.nanstd(list(plain.values()), axis=0, ddof=1)
    print("| edit of 1.5 std | " + " | ".join(READ) + " | others per std | faces |\n|---|" + "---|" * (len(READ) + 2))
    for name in dict.fromkeys(name for _, name, _, _ in sorted(done) if name):
        both = [face for face in plain if (face, name, 1) in values and (face, name, -1) in values]
        moved = np.array([(values[face, name, 1] - values[face, name, -1]) / 2 / std for face in both])
        error = np.nanstd(moved, axis=0, ddof=1) / np.sqrt(len(both))
        cells = [f"{m:+.2f} ± {e:.2f}" for m, e in zip(np.nanmean(moved, axis=0), error, strict=True)]
        others = np.abs([m for key, m in zip(READ, np.nanmean(moved, axis=0), strict=True) if key != name]).mean() / 1.5
        print(f"| {name} | {' | '.join(cells)} | {others:.3f} | {len(both)} |")


def flaws(readings: dict[int, dict[str, float]]) -> None:
    """Print how many images show a flaw, before and after."""
    seen = [(item, readings[i]["flaw"]) for i, item in enumerate(items("flaws")) if i in readings]

    def count(found: Iterable[tuple[Item, float]]) -> str:
        values: NDArray[np.float64] = np.array([flaw for _, flaw in found])
        return f"{values.sum():.0f} of {len(values)}"

    print("| edit of 2 std | before | after |\n|---|---|---|")
    for name in (*NAMES, "all"):
        chosen = [(item, flaw) for item, flaw in seen if name in (item[1], "all")]
        before, after = ([c for c in chosen if c[0][3] == metric] for metric in ("sqrt", "image"))
        print(f"| {name} | {count(before)} | {count(after)} |")


def plain(readings: dict[int, dict[str, float]]) -> None:
    """Print how many faces plainly have an attribute as they are, at +2 and at +3 std."""
    print("| attribute | as it is | +2 std | +3 std |\n|---|---|---|---|")
    for name in FROM_LABELS:
        cells = []
        for strength in (0.0, 2.0, 3.0):
            values = [
                readings[i]["plain"]
                for i, item in enumerate(items("plain"))
                if i in readings and (item[1], item[2]) == (name, strength)
            ]
            cells.append(f"{sum(values):.0f} of {len(values)}")
        print(f"| {name} | {' | '.join(cells)} |")


def agreement(first: dict[int, dict[str, float]], second: dict[int, dict[str, float]]) -> str:
    """Correlation of two readers, of each column that both have."""
    both = sorted(first.keys() & second.keys())
    columns = sorted(first[both[0]].keys() & second[both[0]].keys())
    pairs = {key: np.array([[first[i][key], second[i][key]] for i in both]) for key in columns}
    pairs = {key: pair[np.isfinite(pair).all(1)] for key, pair in pairs.items()}
    return ", ".join(f"{key} {np.corrcoef(pair.T)[0, 1]:.2f}" for key, pair in pairs.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*SHEET, "score"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--boundary", default=str(resource("checkpoints/ffhq-mobile-w.safetensors")))
    parser.add_argument("--skip", type=int, default=0, help="faces to pass over, so that others are looked at")
    parser.add_argument("--sheets", choices=EDITED, default="readings", help="that the readings to score are of")
    parser.add_argument("--edits", nargs="*", default=[], help="of readings and besides: these alone")
    parser.add_argument("--faces", type=int, default=0, help="of readings and besides: of so many")
    args = parser.parse_args()
    if args.what != "score":
        todo = items(args.what, args.edits, args.faces)
        return draw(args.what, todo, args.paths[0], LinearBoundary.load(args.boundary), args.skip)
    readers = [read(path) for path in args.paths]
    for path, readings in zip(args.paths, readers, strict=True):
        print(f"{path.name}: {len(readings)} images")
        columns = next(iter(readings.values()))
        if "flaw" in columns or "plain" in columns:
            (flaws if "flaw" in columns else plain)(readings)
        else:
            table(readings, items(args.sheets, args.edits, args.faces))
    if len(readers) == 2:
        print(f"correlation of the two readers: {agreement(*readers)}")


if __name__ == "__main__":
    main()
