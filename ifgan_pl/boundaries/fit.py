"""From scored codes to a :class:`LinearBoundary`: selection of samples, solver, statistics, accuracies."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ifgan_pl.boundaries.bootstrap import bootstrap, stability
from ifgan_pl.boundaries.boundary import KINDS, METRICS, SPACES, LinearBoundary
from ifgan_pl.boundaries.cross_validation import cross_validate
from ifgan_pl.boundaries.side_effects import SideEffects, counter, effects_of
from ifgan_pl.boundaries.solvers import SOLVER_LOSSES, SOLVERS, Solution
from ifgan_pl.boundaries.solvers.losses import LOSSES
from ifgan_pl.boundaries.solvers.moments import Moments, Rows, chunks, moments
from ifgan_pl.boundaries.targets import SELECTIONS, TRAIN, VALIDATION, AttributeSamples
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError

Penalty = float | Mapping[str, float] | str


class Solver(Protocol):
    """A solver of :mod:`ifgan_pl.boundaries.solvers`' signature that says which loss it minimises.

    Beside the options of all it takes ``held_out``, the targets (N, m) of the validation part, NaN elsewhere, and the
    ``names`` of the m attributes.

    Attributes:
        loss: a name of :data:`ifgan_pl.boundaries.solvers.losses.LOSSES`, which decides what the targets are.
    """

    loss: str

    def __call__(self, codes: Any, targets: Tensor, *, l2: float | Tensor, **options: Any) -> Solution: ...


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

    problem = _Problem(rows, samples, own, solver, torch.device(device or rows.device), ranks)
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

    def gather(key: str) -> Tensor:
        return torch.tensor([entry[key] for entry in fitted], dtype=torch.float64)

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
        lambdas=gather("lambda"),
        offsets=gather("offset"),
        score_mean=gather("mean"),
        score_std=gather("std"),
        calibration=gather("calibration"),
        code_mean=problem.statistics.mean.cpu(),
        covariance=None if space == "z" else problem.statistics.covariance.cpu(),
        metric=metric,
        metrics={"attributes": figures, "failed": failed, "samples": len(everyone)},
        provenance={**(provenance or {}), "fit": settings},
    )


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


class _Problem:
    """What the solver is given: this rank's rows that any attribute selects, and their targets."""

    def __init__(
        self,
        codes: Tensor | Rows,
        samples: list[AttributeSamples],
        own: slice,
        solver: str | Solver,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.codes, self.samples, self.own, self.device, self.ranks = codes, samples, own, device, ranks
        self.selection = samples[0].selection
        self.solver = SOLVERS[solver] if isinstance(solver, str) else solver
        self.loss = SOLVER_LOSSES[solver] if isinstance(solver, str) else solver.loss
        targets = torch.stack([sample.target(self.loss)[own].to(codes.dtype) for sample in samples], 1)
        self.inputs: Any = codes
        if self.selection == "extremes" and isinstance(solver, str) and isinstance(codes, Tensor):
            rows = targets.isfinite().any(1)
            self.inputs, targets = codes[rows.to(codes.device)].to(device), targets[rows]
        self.targets = targets.to(device)
        self.extra: dict[str, Any] = {}
        if not isinstance(solver, str):
            held_out = torch.stack([sample.target(self.loss, VALIDATION)[own] for sample in samples], 1)
            self.extra = {"held_out": held_out.to(codes.dtype), "names": [sample.name for sample in samples]}

    def solve(self, l2: Penalty) -> Solution:
        """Fit; sets ``statistics``, the moments of all codes."""
        penalty: float | Tensor
        whole, reduce = self.inputs is self.codes, self.ranks.sum
        if l2 == "cv":
            found, selected = cross_validate(self.inputs, self.targets, first_row=self.own.start, reduce=reduce)
            self.statistics = selected if whole else moments(self.codes, device=self.device, reduce=reduce)
            penalty = found.best * LOSSES[self.loss].steepest * selected.scale
        else:
            self.statistics = moments(self.codes, device=self.device, reduce=reduce)
            selected = self.statistics if whole else moments(self.inputs, reduce=reduce)
            if l2 == "svc":
                penalty = 1 / reduce(self.targets.isfinite().sum(0).double())
            elif isinstance(l2, Mapping):
                each = [float(l2[sample.name]) for sample in self.samples]
                penalty = self.statistics.mean.new_tensor(each) * self.statistics.scale
            else:
                penalty = float(l2) * self.statistics.scale
        self.options: dict[str, Any] = {"statistics": selected, "reduce": reduce}
        return self.solver(self.inputs, self.targets, l2=penalty, **self.options, **self.extra)

    def planes(self, solution: Solution) -> tuple[Tensor, Tensor]:
        """Unit normals and biases; of least squares on all samples, where the predicted value is the threshold."""
        length = torch.linalg.vector_norm(solution.weights, dim=1)
        biases = solution.biases
        if self.loss == "squared" and self.selection == "all":
            biases = biases - biases.new_tensor([sample.standardised()[1] for sample in self.samples])
        return solution.weights / length[:, None], biases / length

    def measure(self, normals: Tensor, biases: Tensor) -> list[dict[str, Any]]:
        """:meth:`AttributeSamples.statistics` of each attribute, of the samples of all ranks."""
        distances = self.ranks.gather_rows(self._distances(normals, biases))[0]
        return [sample.statistics(distances[:, j]) for j, sample in enumerate(self.samples)]

    def _distances(self, normals: Tensor, biases: Tensor) -> Tensor:
        """Signed distances (N, m) of this rank's codes, on the CPU."""
        dtype = self.codes.dtype
        normals, biases = normals.to(self.device, dtype), biases.to(self.device, dtype)
        parts = [torch.addmm(biases, self.codes[rows].to(self.device), normals.mT).cpu() for rows in chunks(self.codes)]
        return torch.cat(parts) if parts else torch.zeros(0, len(normals), dtype=dtype)

    def countered(
        self, normals: Tensor, biases: Tensor, fitted: list[dict[str, Any]], effects: Tensor
    ) -> tuple[Tensor, Tensor, list[dict[str, Any]]]:
        """The planes that counter side effects (m, m), and what was measured of them; λ of these is their slope."""
        strengths = normals.new_tensor([entry["lambda"] / entry["std"] for entry in fitted]).clamp_min(0)
        mean = self.statistics.mean.to(normals)
        normals, biases, strengths = counter(normals, biases, strengths, mean, effects)
        measured = self.measure(normals, biases)
        for j, (entry, before) in enumerate(zip(measured, fitted, strict=True)):
            entry["significance"] = before["significance"]
            if effects[:, j].any():
                entry["lambda"] = float(strengths[j]) * entry["std"]
                entry["offset"] = entry["mean"] - entry["lambda"] * float(normals[j] @ mean + biases[j])
        return normals, biases, measured

    def bootstrap(self, solution: Solution, refits: int, seed: int) -> list[dict[str, float]]:
        """:class:`~ifgan_pl.boundaries.bootstrap.Stability` of each normal, and the samples for a cosine of .95."""
        counts = self.ranks.gather(len(self.targets))
        before = sum(counts[: self.ranks.rank])
        again = bootstrap(
            self.solver,
            self.inputs,
            self.targets,
            solution,
            refits=refits,
            seed=seed,
            rows=slice(before, before + len(self.targets)),
            total=sum(counts),
            **self.options,
        )
        found = stability(again, solution.weights)
        trained = torch.tensor([int((sample.part == TRAIN).sum()) for sample in self.samples]).to(found.noise)
        wanted = found.samples_for(0.95, 1) * trained
        rows = torch.stack([found.refits, found.low, found.high, found.noise, found.agreement, wanted], 1).tolist()
        keys = ("refit_cosine", "cosine_low", "cosine_high", "noise", "agreement", "samples_for_95")
        return [{k: v for k, v in zip(keys, row, strict=True) if v < float("inf")} for row in rows]


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
