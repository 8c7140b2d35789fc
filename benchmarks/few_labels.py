"""How far do few labels go? Suggestions answered by labels that were given by eye, AUROC on faces that took no part.

    python benchmarks/few_labels.py                    # 150 answers to suggestions, by rounds of 24
    python benchmarks/few_labels.py --random           # 150 answers about random faces
    python benchmarks/few_labels.py --five             # eyeglasses, smile and gender, from faces.csv

The labels are `checkpoints/attributes.csv`, of 600 random faces and 45 likely bald: one half of them may be asked
about, and heads are measured on the other; then the other way round. Each round fits a head as `train.py attribute`
does.
"""

import argparse
import time
from collections.abc import Mapping

import numpy as np
import torch

from ifgan_pl.attributes.faces import Faces, features_of_codes
from ifgan_pl.attributes.head import Head, auroc, fit_head
from ifgan_pl.attributes.suggest import suggest
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import resource
from ifgan_pl.data.faces import FacesData
from ifgan_pl.data.table import number, read_columns
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.generators.truncation import truncated
from ifgan_pl.scorer.loading import load_scorer

ROUND = 24
Columns = Mapping[str, Mapping[int, float]]


def labelled() -> tuple[Faces, Columns, list[int], list[int]]:
    """The faces of attributes.csv, answers about them by attribute, and their two halves."""
    table = read_columns(resource("checkpoints/attributes.csv"))
    generator, scorer = load_generator("ffhq-mobile"), load_scorer(resource("checkpoints/scorer-faces.ckpt"))
    codes = sample_codes(generator, [int(i) for i in table["index"]])
    faces = Faces(features_of_codes(generator, scorer, codes, space="w", resolution=128), codes, {})
    columns = {name: enumerate(column) for name, column in table.items() if name != "index"}
    answers = {name: {i: number(v) for i, v in column if v != ""} for name, column in columns.items()}
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(codes)).tolist()
    return faces, answers, order[::2], order[1::2]


def five() -> tuple[Faces, Columns, list[int], list[int]]:
    """The same of faces.csv at truncation .7: 2,000 train rows may be asked about, the val rows measure."""
    data = FacesData()
    table = data.read()
    generator = load_generator("ffhq-mobile")
    rows = np.flatnonzero(data.truncation[:, 0].numpy() < 0.75)
    with torch.inference_mode():
        codes = truncated(generator, data.z(512)[rows], data.truncation[rows])
    scorer = load_scorer(resource("checkpoints/scorer-faces.ckpt"))
    features = features_of_codes(generator, scorer, codes, space="w", resolution=128)
    names = [name for name, kind in data.chosen.items() if kind == "binary"]
    columns = list(data.chosen)
    answers = {n: dict(enumerate(table.targets[rows, columns.index(n)].tolist())) for n in names}
    test = [k for k, row in enumerate(rows) if table.split[row] == "report"]
    return Faces(features, codes, {}), answers, [k for k in range(len(rows)) if k not in set(test)], test


def grown(
    faces: Faces, truth: Mapping[int, float], pool: list[int], count: int, *, seed: int, active: bool
) -> tuple[Head | None, int]:
    """The head of ``count`` answers, and how many of these are yes."""
    pool = [i for i in pool if i in truth]
    if not active:
        order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(pool))[:count]
        answers = {pool[k]: truth[pool[k]] for k in order}
        return fitted(faces, answers), int(sum(answers.values()))
    answers = {}
    while len(answers) < count:
        head = fitted(faces, answers)
        wanted = min(ROUND, count - len(answers))
        chosen = suggest(faces, wanted, answers=answers, head=head, among=pool, seed=seed)
        answers |= {i: truth[i] for i in chosen}
    return fitted(faces, answers), int(sum(answers.values()))


def fitted(faces: Faces, answers: Mapping[int, float]) -> Head | None:
    """A head, where there are answers enough."""
    try:
        return fit_head(faces, answers)
    except UserError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150, help="answers")
    parser.add_argument("--random", action="store_true", help="about random faces instead of suggested ones")
    parser.add_argument("--five", action="store_true", help="the attributes of faces.csv")
    parser.add_argument("--repeats", type=int, default=4, help="seeds; odd ones ask about the other half")
    options = parser.parse_args()
    faces, answers, pool, test = five() if options.five else labelled()
    means = []
    print("| attribute | AUROC on the others | each | answers yes | yes in the test | s |\n|---|---|---|---|---|---|")
    for name, truth in answers.items():
        found, yes, began = [], [], time.perf_counter()
        for seed in range(options.repeats):
            asked, others = (pool, test) if seed % 2 == 0 or options.five else (test, pool)
            rows = [i for i in others if i in truth]
            positive = torch.tensor([truth[i] == 1 for i in rows])
            head, ups = grown(faces, truth, asked, options.count, seed=seed, active=not options.random)
            found.append(auroc(head.scores(faces.at(rows)), positive) if head is not None else 0.5)
            yes.append(ups)
        seconds = (time.perf_counter() - began) / options.repeats
        means.append(float(np.mean(found)))
        each = " ".join(f"{value:.3f}" for value in found)
        print(
            f"| {name} | {means[-1]:.3f} | {each} | {np.mean(yes):.0f} | {int(positive.sum())} | {seconds:.1f} |",
            flush=True,
        )
    print(f"mean {np.mean(means):.3f}, least {min(means):.3f}; {len(test)} faces, pool of {len(pool)}")


if __name__ == "__main__":
    main()
