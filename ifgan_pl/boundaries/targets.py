"""The samples of one attribute: which are fitted, to what target, and what is measured on the others."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifgan_pl.boundaries import solvers
from ifgan_pl.core.errors import UserError

SELECTIONS = ("all", "extremes")
EXTREMES = 0.02
"""Share of the samples at either end that the paper takes (section 4.1: 10 K of 500 K)."""
VALIDATION_SHARE = {"all": 0.1, "extremes": 0.3}
"""Share of the selected samples that is kept out of the fit; of extremes the paper's."""
LEAST = 10
"""Samples of either class that a fit needs."""
UNUSED, TRAIN, VALIDATION, REMAINING = range(4)


def threshold_of(scores: Tensor, kind: str) -> float:
    """The score that parts an attribute's two sides.

    Continuous: the median. Binary: midway between labels of two values, 0.5 of probabilities, 0 of logits.
    """
    if kind == "continuous":
        return float(scores.quantile(0.5)) if len(scores) < 10**6 else float(scores.median())
    low, high = float(scores.min()), float(scores.max())
    if _two_valued(scores):
        return (low + high) / 2
    return 0.5 if low >= 0 and high <= 1 else 0.0


def _two_valued(scores: Tensor) -> bool:
    return bool(((scores == scores.min()) | (scores == scores.max())).all())


def permutation(count: int, seed: int) -> NDArray[np.int64]:
    """0 … count - 1 in an order that is a function of the seed."""
    return np.random.Generator(np.random.Philox(key=seed)).permutation(count)


class AttributeSamples:
    """The scores (N,) of one attribute and the part that each sample plays: train, validation, remaining, unused."""

    def __init__(self, name: str, kind: str | None, scores: Tensor, selection: str, seed: int) -> None:
        self.name, self.selection = name, selection
        validation = VALIDATION_SHARE[selection]
        self._scores = scores
        self.valid = scores.isfinite()
        count = int(self.valid.sum())
        if count < 2 * LEAST:
            raise UserError(f"{count} of {len(scores)} samples have a finite score; at least {2 * LEAST} are needed")
        values = scores[self.valid].double()
        if values.min() == values.max():
            raise UserError(f"all {count} scores are {float(values[0]):g}; a boundary needs scores that differ")
        unit = bool(((values >= 0) & (values <= 1)).all())
        self.kind = kind or ("binary" if unit or _two_valued(values) else "continuous")
        self.mean, self.std = float(values.mean()), float(values.std())
        self.threshold = threshold_of(values, self.kind)
        above = int((values > self.threshold).sum())
        if self.kind == "binary" and min(above, count - above) < LEAST:
            raise UserError(
                f"{above} of {count} scores lie above {self.threshold:g} and {count - above} below; "
                f"either class needs {LEAST} samples"
            )
        # one stream for all attributes, so that complete columns share their validation rows
        order = permutation(len(scores), seed)
        self.part = torch.where(self.valid, REMAINING, UNUSED).to(torch.uint8)
        if selection == "all":
            rows = torch.from_numpy(order)[self.valid[order]]
            kept = round(validation * count)
            self.part[rows[:kept]], self.part[rows[kept:]] = VALIDATION, TRAIN
            return
        chosen = int(EXTREMES * count)
        if chosen < LEAST:
            raise UserError(
                f"{EXTREMES:.0%} of {count} samples are {chosen} a side, at least {LEAST} are needed; "
                "score more samples or use selection all"
            )
        ascending = scores.masked_fill(~self.valid, torch.inf).argsort(stable=True)[:count]
        if scores[ascending[chosen - 1]] >= scores[ascending[-chosen]]:
            raise UserError(f"the {chosen} highest and the {chosen} lowest scores overlap; use selection all")
        for side in (ascending[:chosen], ascending[-chosen:]):
            side = side[torch.from_numpy(permutation(len(side), seed))]
            train = int((1 - validation) * chosen)
            self.part[side[:train]], self.part[side[train:]] = TRAIN, VALIDATION

    @property
    def scores(self) -> Tensor:
        """(N,) float64."""
        return self._scores.double()

    def target(self, loss: str, part: int = TRAIN) -> Tensor:
        """(N,) what a solver of this loss is to predict, NaN outside the training part, or outside another one."""
        positive = self.scores > self.threshold
        if self.selection == "extremes":
            positive = self.scores > self.scores[self.part == TRAIN].median()
        if loss == "squared":
            target = self.standardised()[0] if self.selection == "all" else 2.0 * positive - 1
        elif loss == "logistic":
            target = self.probability() if self.selection == "all" else positive.double()
        else:
            target = 2.0 * positive - 1
        return target.masked_fill(self.part != part, torch.nan)

    def standardised(self) -> tuple[Tensor, float]:
        """(N,) what least squares predicts, of mean 0 and deviation 1, and where the threshold lies on that scale.

        Of a binary attribute its probability: how far beyond sure a logit is tells of the scorer more than of the
        image.
        """
        values, threshold = (self.probability(), 0.5) if self.kind == "binary" else (self.scores, self.threshold)
        mean, std = values[self.valid].mean(), values[self.valid].std()
        return (values - mean) / std, float((threshold - mean) / std)

    def probability(self) -> Tensor:
        """(N,) soft label in [0, 1]: how surely a sample lies on the attribute's side."""
        values = self.scores[self.valid]
        if self.kind == "continuous":
            return (1.702 * (self.scores - self.threshold) / self.std).sigmoid()  # nearly a normal percentile
        if _two_valued(values):
            return (self.scores > self.threshold).double()
        return self.scores if self.threshold == 0.5 else self.scores.sigmoid()

    def statistics(self, distance: Tensor) -> dict[str, Any]:
        """λ, offset, calibration and accuracies from the distances (N,) of all samples.

        λ comes from samples outside the fit where there are any (inside it would be too large), weighted so that they
        stand for the whole sample.
        """
        weight = self._outside()
        zero = torch.zeros((), dtype=torch.float64)
        distance, scores = distance.double().where(self.valid, zero), self.scores.where(self.valid, zero)
        share = weight / weight.sum()
        centred = distance - share @ distance
        slope = float((share * centred) @ scores / ((share * centred) @ centred))
        offset = self.mean - slope * float(distance[self.valid].mean())
        error = scores - (share @ scores + slope * centred)
        spreads = (share @ centred.square()) * (share @ (scores - share @ scores).square())
        correlation = float((share * centred) @ scores / spreads.sqrt())
        r2 = 1 - float(share @ error.square() / (share @ (scores - share @ scores).square()))
        probability = self.probability() if self.kind == "binary" else (self.scores > self.threshold).double()
        unit = float((share @ centred.square()).sqrt())
        rows = weight > 0
        platt = solvers.logistic(
            distance[rows, None] / unit,
            probability[rows, None],
            weights=weight[rows],
            l2=1e-4,
        )
        return {
            "lambda": slope,
            # in standard errors of no relation; nine digits, as of r2: more would depend on how many threads sum
            "significance": float(f"{correlation * float(1 / share.square().sum()) ** 0.5:.9g}"),
            "offset": offset,
            "mean": self.mean,
            "std": self.std,
            "calibration": [float(platt.weights) / unit, float(platt.biases)],
            "metrics": {**self._accuracies(distance, slope, offset), "r2": float(f"{r2:.9g}")},
        }

    def _outside(self) -> Tensor:
        train, validation = (self.part == TRAIN).double(), (self.part == VALIDATION).double()
        if not validation.any():
            return self.valid.double()
        return (self.part == REMAINING).double() + validation * (1 + train.sum() / validation.sum())

    def _accuracies(self, distance: Tensor, slope: float, offset: float) -> dict[str, Any]:
        """Counts and accuracies on samples outside the fit; ``None`` where there are none.

        ``accuracy_validation``: of the validation part, at the attribute's threshold (of extremes: their two ends).
        ``accuracy_midpoint``: of all remaining samples against the midpoint of the extreme scores, as the original
        reports it. ``accuracy_median``: predicted score and score on the same side of the median; ``None`` where the
        median is an end of the scores, as of labels. Remaining samples are those in neither part; with
        ``selection="all"`` the validation part stands for them.
        """
        part = self.part
        validation = part == VALIDATION
        remaining = part == REMAINING if self.selection == "extremes" else validation
        values = self.scores[self.valid]
        midpoint, median = float(values.min() + values.max()) / 2, float(values.median())
        parting = float(self.scores[part == TRAIN].median()) if self.selection == "extremes" else self.threshold

        def accuracy(rows: Tensor, predicted: Tensor, threshold: float) -> float | None:
            hits = predicted[rows] == (self.scores[rows] > threshold)
            return float(hits.double().mean()) if len(hits) else None

        return {
            "train": int((part == TRAIN).sum()),
            "validation": int(validation.sum()),
            "remaining": int((part == REMAINING).sum()),
            "accuracy_validation": accuracy(validation, distance > 0, parting),
            "accuracy_midpoint": accuracy(remaining, distance > 0, midpoint),
            "accuracy_median": accuracy(remaining, slope * distance + offset > median, median)
            if values.min() < median < values.max()
            else None,
        }
