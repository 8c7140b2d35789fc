"""From scored codes to a :class:`LinearBoundary`: selection of samples, solver, statistics, accuracies."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.boundaries.boundary import KINDS, METRICS, LinearBoundary
from ifgan_pl.boundaries.problem import FitProblem, Penalty, Solver
from ifgan_pl.boundaries.side_effects import SideEffects, effects_of
from ifgan_pl.boundaries.solvers import SOLVERS, Solution
from ifgan_pl.boundaries.solvers.moments import Moments, Rows, chunks
from ifgan_pl.boundaries.targets import SELECTIONS, AttributeSamples
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.base import SPACES


def fit_boundary(
    codes: Tensor | Rows,
    scores: Tensor,
    *,
    attributes: Sequence[str],
    kinds: Sequence[str] | None = None,
    space: str,
    family: str = "",
    num_ws: int = 1,
    layers: Sequence[int] | None = None,
    truncation: float | None = 1.0,
    selection: str = "all",
    solver: str | Solver = "ridge",
    l2: Penalty = 2.0,
    side_effects: SideEffects | None = None,
    refits: int = 0,
    metric: str = "sqrt",
    seed: int = 0,
    device: torch.device | str | None = None,
    ranks: Ranks = ALONE,
    provenance: Mapping[str, Any] | None = None,
) -> LinearBoundary:
    """Fit the hyperplanes of all attributes at once.

    The paper's recipe (section 4.1) is ``selection="extremes", solver="hinge", l2="svc"``: the 2 % highest and lowest
    scores of each attribute, 70 % of them to fit and 30 % to validate. ``selection="all"`` fits the scores of all
    samples, of binary attributes the probabilities, and validates on a tenth. An attribute that cannot be fitted is
    left out with a warning, and ``metrics["failed"]`` says why.

    Args:
        codes: (N, d) floating, as synthesis receives them, after truncation; W+ may be (N, num_ws, w_dim). With
            ``ranks``, this rank's rows: a run of the whole, in the order of the ranks.
        scores: (N, m) floating; NaN: missing. Of a binary attribute logits, probabilities or labels; of a continuous
            one any real numbers.
        attributes: m names.
        kinds: ``binary`` or ``continuous`` for each; ``None``: binary where scores are in [0, 1] or of two values.
        space, family, num_ws, truncation: where the codes live; see :class:`LinearBoundary`.
        layers: rows of (N, num_ws, w_dim) codes to fit, for a boundary of some layers or of one; ``None``: all.
        selection: ``all`` or ``extremes``.
        solver: a name of :data:`ifgan_pl.boundaries.solvers.SOLVERS`, or a solver of that signature such as
            :class:`ifgan_pl.boundaries.solvers.sgd.SGD`.
        l2: penalty relative to the mean variance of a coordinate of the codes, one for all or one for each attribute;
            ``"cv"``: by cross-validation, one for each attribute; ``"svc"``: ``1 / N`` of the rows fitted, which is
            C = 1 of scikit-learn's SVC.
        side_effects: what edits by the planes of this fit were measured to move besides their target, in standard
            deviations of the score per one of the target, e.g. ``{"age": {"eyeglasses": 0.2}}``; countered, see
            :mod:`ifgan_pl.boundaries.side_effects`. λ of a plane that counters is its slope; refits are of the planes
            before it.
        refits: bootstrap refits that measure how much of each direction is noise; 0: none.
        metric: default metric of the boundary.
        seed: of the split and of the bootstrap.
        device: that computes; ``None``: where the codes are. Other codes are brought there in parts, pass by pass.
        ranks: that fit together, each its own rows; all get the same boundary.
        provenance: JSON-able, kept in the boundary.

    Returns:
        a boundary in float32 (float64 for float64 codes), on the CPU. ``metrics["attributes"][name]`` has ``train``,
        ``validation``, ``remaining`` (counts), ``accuracy_validation``, ``accuracy_midpoint``, ``accuracy_median``,
        ``r2`` (see :meth:`ifgan_pl.boundaries.targets.AttributeSamples.statistics`), ``l2`` and, with refits,
        ``bootstrap``.

    Raises:
        UserError: counts or shapes that do not match, codes that are not finite, or no attribute that can be fitted.
    """
    names = list(attributes)
    if space not in SPACES or metric not in METRICS:
        raise UserError(f"space of {', '.join(SPACES)}, metric of {', '.join(METRICS)} expected, got {space}, {metric}")
    layers = sorted(set(layers)) if layers is not None else None
    rows = flat_rows(codes, space, layers)
    if isinstance(l2, Mapping):
        l2 = {names[attribute_index(name, names)]: value for name, value in l2.items()}
    _check(rows, scores, names, kinds, selection, solver, l2, ranks)
    effects = effects_of(side_effects or {}, names)
    everyone, own = ranks.gather_rows(scores)
    samples, failed = _attribute_samples(everyone, names, kinds, selection, seed)

    problem = FitProblem(rows, samples, own, solver, torch.device(device or rows.device), ranks)
    solution = problem.solve(l2)
    normals, biases = problem.planes(solution)
    fitted = problem.measure(normals, biases)
    if effects.any():
        chosen = [names.index(sample.name) for sample in samples]
        normals, biases, fitted = problem.countered(normals, biases, fitted, effects[chosen][:, chosen])
    figures = _figures(samples, fitted, solution, problem.statistics)
    if refits:
        for name, figure in zip(figures, problem.bootstrap(solution, refits, seed), strict=True):
            figures[name]["bootstrap"] = figure
    settings = {
        "selection": selection,
        "solver": solver if isinstance(solver, str) else f"{type(solver).__name__.lower()} ({solver.loss})",
        "l2": dict(l2) if isinstance(l2, Mapping) else l2,
        "side_effects": {target: dict(moved) for target, moved in (side_effects or {}).items()},
        "seed": seed,
    }
    return LinearBoundary(
        normals.to(rows.dtype).cpu(),
        biases.cpu(),
        attributes=list(figures),
        kinds=[sample.kind for sample in samples],
        space=space,
        family=family,
        num_ws=num_ws,
        layers=layers,
        truncation=truncation,
        **_score_statistics(fitted),
        code_mean=problem.statistics.mean.cpu(),
        covariance=None if space == "z" else problem.statistics.covariance.cpu(),
        metric=metric,
        core=None,
        metrics={"attributes": figures, "failed": failed, "samples": len(everyone)},
        provenance={**(provenance or {}), "fit": settings},
    )


def _score_statistics(fitted: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The buffers of a boundary that have a row for each attribute."""
    names = {"lambdas": "lambda", "offsets": "offset", "score_mean": "mean", "score_std": "std"}
    names["calibration"] = "calibration"
    return {name: torch.tensor([entry[key] for entry in fitted], dtype=torch.float64) for name, key in names.items()}


def flat_rows(codes: Tensor | Rows, space: str, layers: Sequence[int] | None) -> Tensor | Rows:
    """Codes as (N, d): rows of W+ one after another, or those of the layers. Rows of a file are (N, d) already."""
    if not isinstance(codes, Tensor):
        return codes
    if codes.ndim == 3 and space != "w+":
        raise UserError(f"codes of shape {tuple(codes.shape)} are in W+, not in {space.upper()}")
    if layers is not None:
        if codes.ndim != 3 or not set(layers) <= set(range(codes.shape[1])):
            shape = tuple(codes.shape)
            raise UserError(f"layers are rows of W+ codes (N, num_ws, w_dim), got {list(layers)} of {shape}")
        codes = codes[:, list(layers)]
    return codes.flatten(1)


def _attribute_samples(
    scores: Tensor, names: list[str], kinds: Sequence[str] | None, selection: str, seed: int
) -> tuple[list[AttributeSamples], dict[str, str]]:
    """The samples of each attribute that can be fitted, and why the others cannot, which is warned of."""
    samples: list[AttributeSamples] = []
    failed: dict[str, str] = {}
    for j, name in enumerate(names):
        try:
            samples.append(AttributeSamples(name, kinds[j] if kinds else None, scores[:, j], selection, seed))
        except UserError as error:
            failed[name] = str(error)
    reasons = [f"{name}: {reason}" for name, reason in failed.items()]
    if not samples:
        raise UserError("; ".join(reasons))
    for reason in reasons:
        warnings.warn(reason, stacklevel=3)
    return samples, failed


def _figures(
    samples: list[AttributeSamples], fitted: list[dict[str, Any]], solution: Solution, statistics: Moments
) -> dict[str, dict[str, Any]]:
    """What a boundary's ``metrics`` say of each attribute; warns of fits that are not to be trusted."""
    figures = {sample.name: entry["metrics"] for sample, entry in zip(samples, fitted, strict=True)}
    for j, sample in enumerate(samples):
        figures[sample.name]["l2"] = solution.info["l2"][j] / statistics.scale
        if not solution.info["converged"][j]:
            warnings.warn(f"{sample.name}: the fit did not converge; a larger l2 helps", stacklevel=3)
        if not fitted[j]["significance"] > 2:
            warnings.warn(f"{sample.name}: samples outside the fit hardly follow it; it may be noise", stacklevel=3)
    return figures


def _check(
    codes: Tensor | Rows,
    scores: Tensor,
    names: list[str],
    kinds: Sequence[str] | None,
    selection: str,
    solver: str | Solver,
    l2: Penalty,
    ranks: Ranks,
) -> None:
    if scores.ndim != 2 or not scores.is_floating_point() or not codes.dtype.is_floating_point:
        shapes = f"{tuple(codes.shape)} and {tuple(scores.shape)}"
        raise UserError(f"floating codes (N, d) and scores (N, m) expected, got {shapes}")
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
    if isinstance(solver, str) and solver not in SOLVERS:
        raise UserError(f"unknown solver {solver!r}; known: {', '.join(SOLVERS)}")
    if isinstance(l2, str) and l2 not in ("cv", "svc"):
        raise UserError(f"l2 must be a number, cv or svc, got {l2!r}")
    if isinstance(l2, Mapping) and set(l2) != set(names):
        raise UserError(f"l2 by attribute must name {', '.join(names)}, got {', '.join(l2)}")
    if not isinstance(l2, str) and not all(value > 0 for value in (l2.values() if isinstance(l2, Mapping) else [l2])):
        raise UserError(f"l2 must be positive, got {l2}")
    if l2 == "cv" and solver == "hinge":
        raise UserError("l2 by cross-validation is for smooth losses; give hinge a number or svc")
    wrong = sum(int((~codes[rows].isfinite().all(1)).sum()) for rows in chunks(codes))
    wrong = int(ranks.sum(torch.tensor(wrong)))
    if wrong:
        raise UserError(f"{wrong} codes hold values that are not finite")
