"""Which faces to ask about next: uncertain ones, likely ones of a rare answer, and some at random, all unlike."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.attributes.faces import Faces
from ifgan_pl.attributes.head import Design, Head
from ifgan_pl.attributes.labels import Answers
from ifgan_pl.core.errors import UserError

POOL = 8
"""Of the best of each sort so many times the wanted number are looked at, and those most unlike each other taken."""
CANDIDATES = 20_000
"""Faces that are considered at most."""
EVEN = 0.3
"""Share of the codes in how alike two faces are, before a head says better."""


def suggest(
    faces: Faces,
    count: int,
    *,
    answers: Answers | None = None,
    head: Head | None = None,
    among: Sequence[int] | None = None,
    seed: int = 0,
) -> list[int]:
    """Numbers of the faces whose answers would help most.

    With a head, half of them are those that its resamples disagree about, where yes and no are near; a third are likely
    of the rarer answer; the rest are random, so that what nobody thought of is seen too. With too few answers for a
    head, most are like the faces of the rarer answer and unlike the others; with none of it yet, half are the faces
    most unlike all others, among which rare things are.

    Args:
        faces: all that may be asked about.
        count: how many.
        answers: those that are there: these faces are not asked about again.
        head: from these answers; ``None``: too few for one.
        among: faces to choose from; ``None``: all.
        seed: of the random ones.

    Raises:
        UserError: not so many are left.
    """
    answers = answers or {}
    pool = [i for i in (range(len(faces)) if among is None else among) if i not in answers]
    if len(pool) < count or count < 1:
        raise UserError(f"{count} faces wanted, {len(pool)} have no answer yet: suggest fewer, or give a larger --num")
    random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, len(answers)]))
    left = torch.from_numpy(np.array(pool)[random.permutation(len(pool))][:CANDIDATES])
    design, share = (head.design, head.share) if head is not None else (Design(faces), EVEN)
    known = list(answers)
    rows = design.rows(faces.at(torch.cat([left, torch.tensor(known, dtype=torch.int64)])), share)
    values = torch.tensor([answers[i] for i in known], dtype=torch.float64)
    taken: list[int] = []
    for order, wanted in _sorts(rows, values, head, count, faces.at(left)):
        free = order[~torch.isin(order, torch.tensor(taken, dtype=torch.int64))]
        taken += _unlike(rows, free[: POOL * max(1, wanted)], wanted, taken)
    rest = [i for i in range(len(left)) if i not in set(taken)]
    return sorted(left[(taken + rest)[:count]].tolist())


def _sorts(rows: Tensor, values: Tensor, head: Head | None, count: int, left: Faces) -> list[tuple[Tensor, int]]:
    """Orders of the faces that are left, the best first, and how many are taken of each; the rest is random.

    Args:
        rows: of the faces that are left and, behind them, of those with ``values``.
    """
    new, old = rows[: len(left)], rows[len(left) :]
    yes, no = values == 1, values == 0
    rare, other = (yes, no) if yes.sum() <= no.sum() else (no, yes)
    if head is not None and head.kind == "binary":
        scores, spread = head.scores(left), head.resampled_scores(left).std(1).clamp_min(1e-6)
        likely = scores if rare is yes else -scores
        return [((scores.abs() / spread).argsort(), round(count / 2)), ((-likely).argsort(), round(count / 3))]
    if head is not None:
        return [((-head.resampled_scores(left).std(1)).argsort(), round(count / 2))]
    if rare.any() and other.any():
        likeness = new @ (old[rare].mean(0) - old[other].mean(0))
        return [((-likeness).argsort(), round(2 * count / 3))]
    far = _unlike(rows, torch.arange(len(new)), count // 2, list(range(len(new), len(rows))))
    return [(torch.tensor(far, dtype=torch.int64), count // 2)]


def _unlike(rows: Tensor, candidates: Tensor, count: int, taken: list[int]) -> list[int]:
    """``count`` of the candidates, one after another the one farthest from all that are taken; the best comes first."""
    if count < 1 or not len(candidates):
        return []
    chosen = [int(candidates[0])]
    distance = torch.full((len(candidates),), torch.inf, dtype=rows.dtype)
    for other in [*taken, chosen[0]]:
        distance = torch.minimum(distance, (rows[candidates] - rows[other]).norm(dim=1))
    while len(chosen) < min(count, len(candidates)):
        found = int(candidates[int(distance.argmax())])
        chosen.append(found)
        distance = torch.minimum(distance, (rows[candidates] - rows[found]).norm(dim=1))
    return chosen
