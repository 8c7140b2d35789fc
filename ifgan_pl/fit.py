"""From scored codes to a :class:`LinearBoundary`: selection of samples, solver, statistics, accuracies."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ifgan_pl import solvers
from ifgan_pl.boundary import KINDS, LinearBoundary
from ifgan_pl.errors import UserError
from ifgan_pl.newton import Moments, moments

SELECTIONS = ("all", "extremes")
EXTREMES = 0.02
"""Share of the samples at either end that the paper takes (section 4.1: 10 K of 500 K)."""
LEAST = 10
"""Samples of either class that a fit needs."""
UNUSED, TRAIN, VALIDATION, REMAINING = range(4)


def fit_boundary(
    codes: Tensor,
    scores: Tensor,
    *,
    attributes: Sequence[str],
    kinds: Sequence[str] | None = None,
    space: str,
    family: str = "",
    num_ws: int = 1,
    truncation: float | None = 1.0,
    selection: str = "all",
    solver: str = "ridge",
    l2: float = 0.1,
    validation: float | None = None,
    metric: str = "covariance",
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> LinearBoundary:
    """Fit the hyperplanes of all attributes at once.

    The paper's recipe (section 4.1) is ``selection="extremes"``: the 2 % highest and lowest scores of each attribute,
    70 % of them to fit and 30 % to validate. ``selection="all"`` fits the scores of all samples. An attribute that
    cannot be fitted is left out with a warning, and ``metrics["failed"]`` says why.

    Args:
        codes: (N, d) floating, as synthesis receives them, after truncation; W+ may be (N, num_ws, w_dim). The fit
            runs on their device.
        scores: (N, m) floating; NaN: missing. Of a binary attribute logits, probabilities or labels; of a continuous
            one any real numbers.
        attributes: m names.
        kinds: ``binary`` or ``continuous`` for each; ``None``: binary where scores are in [0, 1] or of two values.
        space, family, num_ws, truncation: where the codes live; see :class:`LinearBoundary`.
        selection: ``all`` or ``extremes``.
        solver: a name of :data:`ifgan_pl.solvers.SOLVERS`.
        l2: penalty relative to the mean variance of a coordinate of the codes.
        validation: share of the selected samples that is kept out of the fit; ``None``: 0.1 of all, 0.3 of extremes.
        metric: default metric of the boundary.
        seed: of the split.
        provenance: JSON-able, kept in the boundary.

    Returns:
        a boundary in float32 (float64 for float64 codes), on the CPU. ``metrics["attributes"][name]`` has ``train``,
        ``validation``, ``remaining`` (counts), ``accuracy_validation``, ``accuracy_midpoint``, ``accuracy_median`` and
        ``r2``; see :func:`_accuracies`.

    Raises:
        UserError: counts or shapes that do not match, codes that are not finite, or no attribute that can be fitted.
    """
    codes = codes.flatten(1)
    names, kinds = list(attributes), None if kinds is None else list(kinds)
    _check(codes, scores, names, kinds, selection, solver)
    if validation is None:
        validation = 0.3 if selection == "extremes" else 0.1
    if not 0 <= validation < 1:
        raise UserError(f"validation must be a share in [0, 1), got {validation}")

    columns = []
    failed: dict[str, str] = {}
    for j, name in enumerate(names):
        try:
            columns.append(
                _Column(name, kinds[j] if kinds else None, scores[:, j].double().cpu(), selection, validation, seed)
            )
        except UserError as error:
            failed[name] = str(error)
            warnings.warn(f"{name}: {error}", stacklevel=2)
    if not columns:
        raise UserError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))

    statistics = moments(codes)
    solution, biases = _solve(codes, columns, solver, l2, selection, statistics)
    length = solution.weights.norm(dim=1)
    normals, biases = solution.weights / length[:, None], biases / length
    distances = (codes @ normals.mT.to(codes) + biases.to(codes)).double().cpu()
    fitted = [column.statistics(distances[:, j]) for j, column in enumerate(columns)]
    info = solution.info
    for j, column in enumerate(columns):
        if not info["converged"][j]:
            warnings.warn(
                f"{column.name}: the fit stopped at gradient {info['relative_gradient'][j]:.1e}", stacklevel=2
            )

    def gather(key: str) -> Tensor:
        return torch.tensor([entry[key] for entry in fitted], dtype=torch.float64)

    settings = {"selection": selection, "solver": solver, "l2": l2, "validation": validation, "seed": seed}
    return LinearBoundary(
        normals.to(codes.dtype).cpu(),
        biases.cpu(),
        attributes=[column.name for column in columns],
        kinds=[column.kind for column in columns],
        space=space,
        family=family,
        num_ws=num_ws,
        truncation=truncation,
        lambdas=gather("lambda"),
        offsets=gather("offset"),
        score_mean=gather("mean"),
        score_sd=gather("sd"),
        calibration=gather("calibration"),
        code_mean=statistics.mean.cpu(),
        covariance=None if space == "z" else statistics.covariance.cpu(),
        metric=metric,
        metrics={
            "attributes": {column.name: entry["metrics"] for column, entry in zip(columns, fitted, strict=True)},
            "failed": failed,
            "samples": len(codes),
        },
        provenance={**(provenance or {}), "fit": settings},
    )


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


class _Column:
    """The scores (N,) of one attribute and the part that each sample plays: train, validation, remaining, unused."""

    def __init__(
        self, name: str, kind: str | None, scores: Tensor, selection: str, validation: float, seed: int
    ) -> None:
        self.name, self.scores, self.selection = name, scores, selection
        self.valid = scores.isfinite()
        count = int(self.valid.sum())
        if count < 2 * LEAST:
            raise UserError(f"{count} of {len(scores)} samples have a finite score; at least {2 * LEAST} are needed")
        values = scores[self.valid]
        if values.min() == values.max():
            raise UserError(f"all {count} scores are {float(values[0]):g}; a boundary needs scores that differ")
        unit = bool(((values >= 0) & (values <= 1)).all())
        self.kind = kind or ("binary" if unit or _two_valued(values) else "continuous")
        self.mean, self.sd = float(values.mean()), float(values.std())
        self.threshold = threshold_of(values, self.kind)
        above = int((values > self.threshold).sum())
        if self.kind == "binary" and min(above, count - above) < LEAST:
            raise UserError(
                f"{above} of {count} scores lie above {self.threshold:g} and {count - above} below; "
                f"either class needs {LEAST} samples"
            )
        # one stream for all attributes, so that complete columns share their validation rows
        order = np.random.default_rng(seed).permutation(len(scores))
        self.part = torch.where(self.valid, REMAINING, UNUSED)
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
            side = torch.from_numpy(np.random.default_rng(seed).permutation(side.numpy()))
            train = int((1 - validation) * chosen)
            self.part[side[:train]], self.part[side[train:]] = TRAIN, VALIDATION

    def target(self, solver: str) -> Tensor:
        """(N,) what the solver is to predict, NaN outside the training part."""
        positive = self.scores > self.threshold
        if self.selection == "extremes":
            positive = self.scores > self.scores[self.part == TRAIN].median()
        if solver == "ridge":
            target = (self.scores - self.mean) / self.sd if self.selection == "all" else 2.0 * positive - 1
        elif solver == "logistic":
            target = self.probability() if self.selection == "all" else positive.double()
        else:
            target = 2.0 * positive - 1
        return target.masked_fill(self.part != TRAIN, torch.nan)

    def probability(self) -> Tensor:
        """(N,) soft label in [0, 1]: how surely a sample lies on the attribute's side."""
        values = self.scores[self.valid]
        if self.kind == "continuous":
            return (1.702 * (self.scores - self.threshold) / self.sd).sigmoid()  # nearly a normal percentile
        if _two_valued(values):
            return (self.scores > self.threshold).double()
        return self.scores if self.threshold == 0.5 else self.scores.sigmoid()

    def statistics(self, distance: Tensor) -> dict[str, Any]:
        """λ, offset, calibration and accuracies from the distances (N,) of all samples.

        λ comes from samples outside the fit where there are any (inside it would be too large), weighted so that they
        stand for the whole sample.
        """
        weight = self._outside()
        distance, scores = distance.where(self.valid, torch.zeros(())), self.scores.where(self.valid, torch.zeros(()))
        share = weight / weight.sum()
        centred = distance - share @ distance
        slope = float((share * centred) @ scores / ((share * centred) @ centred))
        offset = self.mean - slope * float(distance[self.valid].mean())
        error = scores - (share @ scores + slope * centred)
        r2 = 1 - float(share @ error.square() / (share @ (scores - share @ scores).square()))
        probability = self.probability() if self.kind == "binary" else (self.scores > self.threshold).double()
        unit = float((share @ centred.square()).sqrt())
        probability = probability.masked_fill(weight == 0, torch.nan)
        platt = solvers.logistic(distance[:, None] / unit, probability[:, None], weights=weight, l2=1e-4)
        return {
            "lambda": slope,
            "offset": offset,
            "mean": self.mean,
            "sd": self.sd,
            "calibration": [float(platt.weights) / unit, float(platt.biases)],
            "metrics": {**self._accuracies(distance, slope, offset), "r2": r2},
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


def _solve(
    codes: Tensor, columns: list[_Column], solver: str, l2: float, selection: str, statistics: Moments
) -> tuple[solvers.Solution, Tensor]:
    """Weights as the solver finds them, and biases moved so that the plane is where the score meets the threshold."""
    targets = torch.stack([column.target(solver) for column in columns], 1)
    rows = targets.isfinite().any(1)
    whole = bool(rows.all())
    inputs, targets = (codes, targets) if whole else (codes[rows.to(codes.device)], targets[rows])
    targets = targets.to(codes)
    own = statistics if selection == "all" else moments(inputs)
    solution = solvers.SOLVERS[solver](inputs, targets, l2=l2 * statistics.scale, statistics=own)
    biases = solution.biases
    if solver == "ridge" and selection == "all":
        biases = biases - biases.new_tensor([(column.threshold - column.mean) / column.sd for column in columns])
    return solution, biases


def _check(
    codes: Tensor, scores: Tensor, names: list[str], kinds: list[str] | None, selection: str, solver: str
) -> None:
    if scores.ndim != 2 or not scores.is_floating_point() or not codes.is_floating_point():
        raise UserError(
            f"floating codes (N, d) and scores (N, m) expected, got {tuple(codes.shape)} and {tuple(scores.shape)}"
        )
    if len(codes) != len(scores):
        raise UserError(f"{len(codes)} codes but {len(scores)} scores; each code needs a row of scores")
    if scores.shape[1] != len(names) or (kinds is not None and len(kinds) != len(names)):
        raise UserError(f"{scores.shape[1]} columns of scores but {len(names)} attributes: {', '.join(names)}")
    if len(set(names)) != len(names):
        raise UserError(f"attributes must have distinct names, got {', '.join(names)}")
    if kinds is not None and not set(kinds) <= set(KINDS):
        raise UserError(f"kinds must be of {', '.join(KINDS)}, got {', '.join(kinds)}")
    if selection not in SELECTIONS:
        raise UserError(f"unknown selection {selection!r}; known: {', '.join(SELECTIONS)}")
    if solver not in solvers.SOLVERS:
        raise UserError(f"unknown solver {solver!r}; known: {', '.join(solvers.SOLVERS)}")
    wrong = int((~codes.isfinite().all(1)).sum())
    if wrong:
        raise UserError(f"{wrong} of {len(codes)} codes hold values that are not finite")
