"""Do two looks at the same faces agree? Cohen's κ of each attribute of two label files, by `index`.

    python benchmarks/label_agreement.py benchmarks/blind/attributes-first.csv benchmarks/blind/attributes-second.csv

Those two are of the 645 faces from which the twelve attributes began: the labels of then, and what was seen by readers
who knew no answer. An answer that either left open does not count. Needs scikit-learn.
"""

import argparse
import csv
from pathlib import Path

from sklearn.metrics import cohen_kappa_score


def read(path: Path) -> dict[str, dict[str, str]]:
    """Index -> attribute -> answer."""
    with path.open(newline="") as file:
        return {line.pop("index"): line for line in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    args = parser.parse_args()
    first, second = read(args.first), read(args.second)
    faces = sorted(first.keys() & second.keys())
    print(f"{len(faces)} faces\n\n| attribute | both answered | differ | κ |\n|---|---|---|---|")
    for name in first[faces[0]]:
        answers = [(first[i][name], second[i][name]) for i in faces if first[i][name] and second[i][name]]
        differ = sum(a != b for a, b in answers)
        print(f"| {name} | {len(answers)} | {differ} | {cohen_kappa_score(*zip(*answers, strict=True)):.2f} |")


if __name__ == "__main__":
    main()
