"""Edited photographs as eyes read them that do not know which are: sheets in random order, and what readings say.

    python benchmarks/blind_photographs.py sheets OUT EDITED…    # folders that edit.py --photos wrote, one a set
    python benchmarks/blind_photographs.py score KEY.csv FIRST.csv SECOND.csv…

``sheets`` draws aligned faces, the photograph once and its edits, and writes beside the sheets what each number is,
``key.csv``, which a reader does not see. A reader writes a CSV with a line for each number, by this protocol:

    flaw         0 nothing looks wrong, 1 a small flaw that one sees only when looking closely, 2 a plain one that
                 anybody would notice: a bar, a halo, a ghost, half or torn glasses, smeared hair, wrong teeth
    altered      1 taken for edited, 0 not
    glasses      1 a whole frame, 0.5 half of one or hardly visible, 0 none
    smile        0 none, 1 slight, 2 clear, 3 broad with teeth
    age          in years, as guessed
    note         what is wrong, in a few words; "ghost", "bar" and "halo" where it is one

``score`` counts them by set and edit. The CSVs in ``benchmarks/blind/`` are those of RESULTS.
"""

import argparse
import csv
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ifgan_pl.images.sheets import draw_grid

COLUMNS, ROWS, SIDE = 4, 3, 400
ORDER_SEED = 77
MARKS = re.compile(r"\b(ghost|bar|halo)s?\b")


def sheets(out: Path, folders: list[Path]) -> None:
    """Draw the faces of folders of ``edit.py`` in random order, and write ``key.csv``."""
    found: dict[tuple[str, str, str], Path] = {}
    for folder in folders:
        for row in rows(folder / "edits.csv"):
            edit = Path(row["file"]).stem.removeprefix(f"{Path(row['photo']).stem}-{row['face']}_")
            found.setdefault((folder.parent.name, edit, f"{row['photo']} {row['face']}"), folder / row["file"])
    items = list(found.items())
    items = [items[i] for i in np.random.default_rng(ORDER_SEED).permutation(len(items))]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "key.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", "set", "edit", "face"])
        writer.writerows([i, *key] for i, (key, _) in enumerate(items))
    for start in range(0, len(items), COLUMNS * ROWS):
        part = items[start : start + COLUMNS * ROWS]
        images = [Image.open(path).convert("RGB") for _, path in part]
        labels = [str(start + i) for i in range(len(part))]
        sheet = draw_grid(images, title="", labels=labels, columns=COLUMNS, side=SIDE)
        sheet.save(out / f"sheet-{start // (COLUMNS * ROWS):02d}.png")


def rows(path: Path) -> list[dict[str, str]]:
    """Lines of a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def score(key: list[dict[str, str]], readings: list[dict[str, str]]) -> None:
    """Print a reader's counts of each set and edit."""
    read = {row["number"]: row for row in readings}
    print(
        "| set | edit | images | plain flaws | small | ghost, bar, halo: plain, small | altered | glasses, half | age |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for group in dict.fromkeys((row["set"], row["edit"]) for row in sorted(key, key=lambda row: row["set"])):
        seen = [read[row["number"]] for row in key if (row["set"], row["edit"]) == group and row["number"] in read]
        flaws = [[row for row in seen if row["flaw"] == flaw] for flaw in "21"]
        marks = [sum(bool(MARKS.search(row["note"].lower())) for row in found) for found in flaws]
        glasses = [float(row["glasses"]) for row in seen]
        counts = [
            *(len(found) for found in flaws),
            f"{marks[0]}, {marks[1]}",
            sum(row["altered"] == "1" for row in seen),
            f"{sum(g == 1 for g in glasses)}, {sum(0 < g < 1 for g in glasses)}",
        ]
        age = np.mean([float(row["age"]) for row in seen])
        print(f"| {' | '.join(group)} | {len(seen)} | {' | '.join(map(str, counts))} | {age:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sheets", "score"])
    parser.add_argument("first", type=Path, help="the folder to draw in, or the key")
    parser.add_argument("rest", nargs="+", type=Path, help="folders of edit.py, or readings")
    args = parser.parse_args()
    if args.what == "sheets":
        return sheets(args.first, args.rest)
    for path in args.rest:
        print(f"{path.name}:")
        score(rows(args.first), rows(path))


if __name__ == "__main__":
    main()
