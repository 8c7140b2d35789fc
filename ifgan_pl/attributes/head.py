"""A score of faces from a few answers: a linear head on features and codes, its settings by cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.attributes.faces import Faces
from ifgan_pl.attributes.labels import Answers
from ifgan_pl.boundaries.bootstrap import poisson_counts
from ifgan_pl.boundaries.solvers import logistic, ridge
from ifgan_pl.boundaries.solvers.losses import LOSSES
from ifgan_pl.boundaries.targets import permutation
from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.calibration import platt

LEAST, LEAST_OF_A_SIDE = 20, 5
"""Answers that a head needs, and of either answer to a yes/no question."""
FOLDS = 5
PENALTIES = tuple(10 ** (k / 2) for k in range(-11, 1))
"""Penalties that are tried, relative to the variance of the inputs: 3e-6 … 1."""
SHARES = (0.0, 0.3, 0.8)
"""Shares of the inputs' variance that are tried for the codes; the rest is the features'."""
SOLVERS = {"binary": logistic, "continuous": ridge}
REFITS = 20
"""Resamples of the answers, by which the noise of a head's direction is known."""
RESAMPLES = 300
"""Resamples of the faces, by which the interval of a head's quality is known."""
CHANCE = 0.55
"""An AUROC whose interval reaches down to this is no better than a coin's."""
NARROW = 0.05
"""Width of the interval of the AUROC at which more answers are not asked for."""


@dataclass(frozen=True)
class Quality:
    """How well answers that took no part are predicted, by cross-validation.

    Attributes:
        measure: ``AUROC`` of yes/no answers, ``r`` of numbers.
        value, low, high: of all answers, with its 5th and 95th percentile over resamples of the faces.
        half: of heads that saw half of the answers; NaN: there were none.
        answers, positives: how many; positives are those above the middle of the two answers (of numbers 0).
    """

    measure: str
    value: float
    low: float
    high: float
    half: float
    answers: int
    positives: int

    @property
    def noise(self) -> bool:
        """Whether the answers might as well have been given by a coin."""
        return not self.low > (CHANCE if self.measure == "AUROC" else 0.1)

    @property
    def enough(self) -> bool:
        """Whether the interval is narrow."""
        return not self.noise and self.high - self.low <= NARROW

    def __str__(self) -> str:
        counts = f"{self.answers} answers" + (f", {self.positives} of them yes" if self.measure == "AUROC" else "")
        return f"{self.measure} {self.value:.3f} ({self.low:.3f} to {self.high:.3f}) from {counts}"


class Design:
    """The inputs of heads: features standardised, codes centred, each divided by its number of columns.

    Args:
        faces: all that are to be scored; their statistics are those of every face that a head sees.
    """

    def __init__(self, faces: Faces) -> None:
        features = faces.features.double()
        self.mean, self.std = features.mean(0), features.std(0).clamp_min(1e-6)
        self.code_mean: Tensor | None = None
        if faces.codes is not None:
            codes = faces.codes.double()
            self.code_mean = codes.mean(0)
            self.size = float((codes - self.code_mean).square().sum(1).mean().sqrt())

    def rows(self, faces: Faces, share: float) -> Tensor:
        """(n, F) or (n, F + d) float64 of mean squared length 1; ``share`` of it is the codes'."""
        features: Tensor = faces.features.double()
        if faces.codes is None:  # photographs: on the scale of their own, a camera is no generator
            mean, std = features.mean(0), features.std(0).clamp_min(1e-6)
        else:
            mean, std = self.mean, self.std
        features = (features - mean) / (std * len(mean) ** 0.5)
        if self.code_mean is None or faces.codes is None:
            return features
        codes = (faces.codes.double() - self.code_mean) / self.size
        return torch.cat([features * (1 - share) ** 0.5, codes * share**0.5], 1)


@dataclass(frozen=True)
class Head:
    """A linear score of faces.

    Attributes:
        kind: ``binary`` (scores are calibrated logits) or ``continuous`` (scores are in the answers' units).
        weights, bias: (D,) and (), on the rows of ``design`` at ``share``.
        refits: (b, D + 1) weights and bias of heads from resampled answers.
        design, share, penalty: how faces are looked at.
        quality: how far to trust it.
    """

    kind: str
    weights: Tensor
    bias: float
    refits: Tensor
    design: Design
    share: float
    penalty: float
    quality: Quality

    def scores(self, faces: Faces) -> Tensor:
        """(n,) float32."""
        scores = self.design.rows(faces, self.share)[:, : len(self.weights)] @ self.weights + self.bias
        return scores.float()

    def resampled_scores(self, faces: Faces) -> Tensor:
        """(n, b) float32, of the heads from resampled answers."""
        rows = self.design.rows(faces, self.share)[:, : len(self.weights)]
        return (rows @ self.refits[:, :-1].mT + self.refits[:, -1]).float()


def fit_head(
    faces: Faces, answers: Answers, *, design: Design | None = None, name: str = "the attribute", seed: int = 0
) -> Head:
    """Fit a head to answers about some of the faces.

    Args:
        faces: those that answers are about, by their position.
        answers: face -> 0 or 1; any other numbers make a score of numbers.
        design: of the faces that are to be scored, where those are others.
        name: for messages.
        seed: of the folds and of the resamples.

    Raises:
        UserError: too few answers, or all alike.
    """
    chosen = sorted(answers)
    values = torch.tensor([float(answers[i]) for i in chosen], dtype=torch.float64)
    kind = "binary" if bool(((values == 0) | (values == 1)).all()) else "continuous"
    _check(values, kind, name)
    design = design or Design(faces)
    some = faces.at(chosen)
    shares = SHARES if some.codes is not None and design.code_mean is not None else (0.0,)
    folds = stratified_folds(values, FOLDS, seed)
    best: tuple[float, float, float, Tensor] | None = None
    for share in shares:
        rows = design.rows(some, share)
        held_out = out_of_fold(rows, values, folds, PENALTIES, kind)  # (n, penalties)
        losses = _losses(held_out, values, kind)
        k = int(losses.argmin())
        if best is None or float(losses[k]) < best[0]:
            best = float(losses[k]), share, PENALTIES[k], held_out[:, k]
    assert best is not None
    _, share, penalty, held_out = best
    rows = design.rows(some, share)
    halves = out_of_fold(rows, values, stratified_folds(values, 2, seed + 1), (penalty,), kind)[:, 0]
    quality = quality_of(held_out, halves, values, kind, seed)
    weights = torch.stack([torch.from_numpy(poisson_counts(len(values), seed, b)) for b in range(REFITS)], 1)
    counts = torch.cat([torch.ones_like(weights[:, :1]), weights], 1).double()
    fitted = SOLVERS[kind](rows, values[:, None].expand(-1, 1 + REFITS), l2=penalty, weights=counts)
    line = platt(held_out, values) if kind == "binary" else None
    slope, intercept = line or (1.0, 0.0)
    all_weights = torch.cat([fitted.weights * slope, (fitted.biases * slope + intercept)[:, None]], 1)
    return Head(kind, all_weights[0, :-1], float(all_weights[0, -1]), all_weights[1:], design, share, penalty, quality)


def stratified_folds(values: Tensor, folds: int, seed: int) -> Tensor:
    """(n,) int64 fold of each answer; every fold has its share of each side, or of low and high numbers."""
    shuffled = torch.from_numpy(permutation(len(values), seed))
    order = shuffled[values[shuffled].argsort(stable=True)]
    fold = torch.empty(len(values), dtype=torch.int64)
    fold[order] = torch.arange(len(values)) % folds
    return fold


def out_of_fold(rows: Tensor, values: Tensor, fold: Tensor, penalties: Sequence[float], kind: str) -> Tensor:
    """(n, p) decisions about each face by heads that did not see its answer, for each penalty."""
    folds = int(fold.max()) + 1
    targets = torch.stack([values.masked_fill(fold == k, torch.nan) for k in range(folds)], 1)  # (n, folds)
    many = targets.repeat(1, len(penalties))
    l2 = torch.tensor(penalties, dtype=torch.float64).repeat_interleave(folds)
    solution = SOLVERS[kind](rows, many, l2=l2)
    decisions = (rows @ solution.weights.mT + solution.biases).view(len(rows), len(penalties), folds)
    return decisions.gather(2, fold[:, None, None].expand(-1, len(penalties), 1))[:, :, 0]


def auroc(scores: Tensor, positive: Tensor) -> float:
    """Share of pairs of a positive and a negative that the scores put in order; ties count half."""
    order = scores.double()
    both = torch.cat([order[positive], order[~positive]])
    _, inverse, counts = torch.unique(both, return_inverse=True, return_counts=True)
    upper = counts.cumsum(0).double()
    ranks = (upper - (counts - 1) / 2)[inverse]
    ups, downs = int(positive.sum()), int((~positive).sum())
    return float((ranks[:ups].sum() - ups * (ups + 1) / 2) / (ups * downs))


def _losses(decisions: Tensor, values: Tensor, kind: str) -> Tensor:
    """(p,) mean loss of decisions (n, p)."""
    loss = LOSSES["logistic" if kind == "binary" else "squared"]
    return loss.value(decisions, values[:, None]).mean(0)


def quality_of(held_out: Tensor, halves: Tensor | None, values: Tensor, kind: str, seed: int) -> Quality:
    """How well decisions (n,) predict answers (n,) that took no part; ``halves`` are those from half of the answers."""
    measure = "AUROC" if kind == "binary" else "r"

    def figure(rows: Tensor, decisions: Tensor) -> float:
        part, answers = decisions[rows], values[rows]
        if kind == "continuous":
            return float(torch.corrcoef(torch.stack([part, answers]))[0, 1].nan_to_num())
        return auroc(part, answers == 1)

    everyone = torch.arange(len(values))
    resampled = []
    generator = np.random.Generator(np.random.Philox(key=seed))
    sides = [everyone[values == 1], everyone[values == 0]] if kind == "binary" else [everyone]
    for _ in range(RESAMPLES):
        draws = [side[torch.from_numpy(generator.integers(0, len(side), len(side)))] for side in sides]
        resampled.append(figure(torch.cat(draws), held_out))
    low, high = np.percentile(resampled, [5, 95])
    return Quality(
        measure,
        figure(everyone, held_out),
        float(low),
        float(high),
        figure(everyone, halves) if halves is not None else torch.nan,
        len(values),
        int((values == 1).sum()) if kind == "binary" else 0,
    )


def _check(values: Tensor, kind: str, name: str) -> None:
    count = len(values)
    if count < LEAST:
        raise UserError(f"{count} answers about {name}: a head needs {LEAST} at least, 50 to 300 make a good one")
    if kind == "continuous":
        if values.min() == values.max():
            raise UserError(f"all {count} answers about {name} are {float(values[0]):g}: answers must differ")
        return
    yes = int(values.sum())
    if min(yes, count - yes) < LEAST_OF_A_SIDE:
        raise UserError(
            f"{yes} of {count} answers about {name} are yes and {count - yes} no: at least {LEAST_OF_A_SIDE} of either "
            "are needed; `train.py attribute --suggest` looks for likely ones"
        )
