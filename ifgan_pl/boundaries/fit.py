"""From scored codes to a :class:`LinearBoundary`: selection of samples, solver, statistics, accuracies."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.boundaries import solvers
from ifgan_pl.boundaries.bootstrap import bootstrap, stability
from ifgan_pl.boundaries.boundary import KINDS, METRICS, SPACES, LinearBoundary
from ifgan_pl.boundaries.cross_validation import CURVATURE, cross_validate
from ifgan_pl.boundaries.side_effects import SideEffects, counter, effects_of
from ifgan_pl.boundaries.solvers.newton import chunks, moments
from ifgan_pl.boundaries.targets import SELECTIONS, Column
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.distributed import gather_rows, rank, sum_over_ranks
from ifgan_pl.core.errors import UserError


def fit_boundary(
    codes: Tensor,
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
    solver: str = "ridge",
    l2: float | Mapping[str, float] | str = 2.0,
    side_effects: SideEffects | None = None,
    balanced: bool = False,
    validation: float | None = None,
    refits: int = 0,
    metric: str = "sqrt",
    seed: int = 0,
    device: torch.device | str | None = None,
    solve: Callable[..., solvers.Solution] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> LinearBoundary:
    """Fit the hyperplanes of all attributes at once.

    The paper's recipe (section 4.1) is ``selection="extremes", solver="hinge", l2="svc"``: the 2 % highest and lowest
    scores of each attribute, 70 % of them to fit and 30 % to validate. ``selection="all"`` fits the scores of all
    samples, of binary attributes the probabilities. An attribute that cannot be fitted is left out with a warning, and
    ``metrics["failed"]`` says why. Under torch.distributed every rank gives its own rows, and all get the same
    boundary.

    Args:
        codes: (N, d) floating, as synthesis receives them, after truncation; W+ may be (N, num_ws, w_dim).
        scores: (N, m) floating; NaN: missing. Of a binary attribute logits, probabilities or labels; of a continuous
            one any real numbers.
        attributes: m names.
        kinds: ``binary`` or ``continuous`` for each; ``None``: binary where scores are in [0, 1] or of two values.
        space, family, num_ws, truncation: where the codes live; see :class:`LinearBoundary`.
        layers: rows of (N, num_ws, w_dim) codes to fit, for a boundary of some layers or of one; ``None``: all.
        selection: ``all`` or ``extremes``.
        solver: a name of :data:`ifgan_pl.boundaries.solvers.SOLVERS`.
        l2: penalty relative to the mean variance of a coordinate of the codes, one for all or one for each attribute;
            ``"cv"``: by cross-validation, one for each attribute; ``"svc"``: ``1 / N`` of the rows fitted, which is
            C = 1 of scikit-learn's SVC.
        side_effects: what edits by the planes of this fit were measured to move besides their target, in standard
            deviations of the score per one of the target, e.g. ``{"age": {"eyeglasses": 0.2}}``; countered, see
            :mod:`ifgan_pl.boundaries.side_effects`. λ of a plane that counters is its slope; refits are of the planes
            before it.
        balanced: weigh samples so that both sides of an attribute's threshold count the same.
        validation: share of the selected samples that is kept out of the fit; ``None``: 0.1 of all, 0.3 of extremes.
        refits: bootstrap refits that measure how much of each direction is noise; 0: none.
        metric: default metric of the boundary.
        seed: of the split and of the bootstrap.
        device: that computes; ``None``: where the codes are. Other codes are brought there in parts, pass by pass.
        solve: solves in the place of the named solver, from the same targets and with its signature, as
            :func:`ifgan_pl.boundaries.solvers.sgd.sgd` does.
        provenance: JSON-able, kept in the boundary.

    Returns:
        a boundary in float32 (float64 for float64 codes), on the CPU. ``metrics["attributes"][name]`` has ``train``,
        ``validation``, ``remaining`` (counts), ``accuracy_validation``, ``accuracy_midpoint``, ``accuracy_median``,
        ``r2`` (see :meth:`ifgan_pl.boundaries.targets.Column.statistics`), ``l2`` and, with refits, ``bootstrap``.

    Raises:
        UserError: counts or shapes that do not match, codes that are not finite, or no attribute that can be fitted.
    """
    names = list(attributes)
    if space not in SPACES or metric not in METRICS:
        raise UserError(f"space of {', '.join(SPACES)}, metric of {', '.join(METRICS)} expected, got {space}, {metric}")
    shape = tuple(codes.shape)
    if len(shape) == 3 and space != "w+":
        raise UserError(f"codes of shape {shape} are in W+, not in {space.upper()}")
    if layers is not None:
        if len(shape) != 3 or not set(layers) <= set(range(shape[1])):
            raise UserError(f"layers are rows of W+ codes (N, num_ws, w_dim), got {list(layers)} of {shape}")
        layers = sorted(set(layers))
        codes = codes[:, layers]
    codes = codes.flatten(1)
    device = torch.device(device or codes.device)
    if isinstance(l2, Mapping):
        l2 = {names[attribute_index(name, names)]: value for name, value in l2.items()}
    _check(codes, scores, names, kinds, selection, solver, l2)
    effects = effects_of(side_effects or {}, names)
    if validation is None:
        validation = 0.3 if selection == "extremes" else 0.1
    if not 0 <= validation < 1:
        raise UserError(f"validation must be a share in [0, 1), got {validation}")
    everyone, own = gather_rows(scores.cpu())

    columns: list[Column] = []
    failed: dict[str, str] = {}
    for j, name in enumerate(names):
        try:
            columns.append(Column(name, kinds[j] if kinds else None, everyone[:, j], selection, validation, seed))
        except UserError as error:
            failed[name] = str(error)
    reasons = [f"{name}: {reason}" for name, reason in failed.items()]
    if not columns:
        raise UserError("; ".join(reasons))
    for reason in reasons:
        warnings.warn(reason, stacklevel=2)

    problem = _Problem(codes, columns, own, selection, solver, balanced, device)
    problem.solver = solve or problem.solver
    solution = problem.solve(l2)

    def measured(normals: Tensor, biases: Tensor) -> list[dict[str, Any]]:
        distances = gather_rows(_decide(codes, normals, biases, device))[0]
        return [column.statistics(distances[:, j]) for j, column in enumerate(columns)]

    normals, biases = problem.planes(solution)
    fitted = measured(normals, biases)
    if effects.any():
        rows = [names.index(column.name) for column in columns]
        effects = effects[rows][:, rows]
        strengths = normals.new_tensor([entry["lambda"] / entry["std"] for entry in fitted]).clamp_min(0)
        mean = problem.statistics.mean.to(normals)
        normals, biases, strengths = counter(normals, biases, strengths, mean, effects)
        plain, fitted = fitted, measured(normals, biases)
        for j, (entry, before) in enumerate(zip(fitted, plain, strict=True)):
            entry["significance"] = before["significance"]
            if effects[:, j].any():
                entry["lambda"] = float(strengths[j]) * entry["std"]
                entry["offset"] = entry["mean"] - entry["lambda"] * float(normals[j] @ mean + biases[j])
    figures = {column.name: entry["metrics"] for column, entry in zip(columns, fitted, strict=True)}
    for j, column in enumerate(columns):
        figures[column.name]["l2"] = solution.info["l2"][j] / problem.statistics.scale
        if not solution.info["converged"][j]:
            warnings.warn(f"{column.name}: the fit did not converge; a larger l2 helps", stacklevel=2)
        if not fitted[j]["significance"] > 2:
            warnings.warn(f"{column.name}: samples outside the fit hardly follow it; it may be noise", stacklevel=2)
    if refits:
        for name, figure in zip(figures, problem.bootstrap(solution, refits, seed), strict=True):
            figures[name]["bootstrap"] = figure

    def gather(key: str) -> Tensor:
        return torch.tensor([entry[key] for entry in fitted], dtype=torch.float64)

    settings = {
        "selection": selection,
        "solver": solver,
        "l2": dict(l2) if isinstance(l2, Mapping) else l2,
        "side_effects": {target: dict(moved) for target, moved in (side_effects or {}).items()},
        "balanced": balanced,
        "validation": validation,
        "seed": seed,
    }
    return LinearBoundary(
        normals.to(codes.dtype).cpu(),
        biases.cpu(),
        attributes=list(figures),
        kinds=[column.kind for column in columns],
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


class _Problem:
    """What the solver is given: this rank's rows that any attribute selects, their targets and weights."""

    def __init__(
        self,
        codes: Tensor,
        columns: list[Column],
        own: slice,
        selection: str,
        solver: str,
        balanced: bool,
        device: torch.device,
    ) -> None:
        self.codes, self.columns, self.own, self.selection, self.device = codes, columns, own, selection, device
        self.name, self.solver = solver, solvers.SOLVERS[solver]
        targets = torch.stack([column.target(solver)[own].to(codes.dtype) for column in columns], 1)
        self.weights = torch.stack([column.balance()[own] for column in columns], 1) if balanced else None
        self.rows = targets.isfinite().any(1)
        self.inputs = codes
        if selection == "extremes":
            self.inputs = codes[self.rows.to(codes.device)].to(device)
            targets = targets[self.rows]
            self.weights = None if self.weights is None else self.weights[self.rows]
        self.targets = targets.to(device)
        self.options: dict[str, Any] = {"weights": None if self.weights is None else self.weights.to(self.targets)}

    def solve(self, l2: float | Mapping[str, float] | str) -> solvers.Solution:
        """Fit; sets ``statistics``, the moments of all codes."""
        penalty: float | Tensor
        if l2 == "cv":
            found, selected = cross_validate(self.inputs, self.targets, first_row=self.own.start)
            self.statistics = selected if self.inputs is self.codes else moments(self.codes, device=self.device)
            penalty = found.best * CURVATURE[self.name] * selected.scale
        else:
            self.statistics = moments(self.codes, device=self.device)
            selected = self.statistics if self.inputs is self.codes else moments(self.inputs)
            if l2 == "svc":
                penalty = 1 / sum_over_ranks(self.targets.isfinite().sum(0).double())
            elif isinstance(l2, Mapping):
                each = [float(l2[column.name]) for column in self.columns]
                penalty = self.statistics.mean.new_tensor(each) * self.statistics.scale
            else:
                penalty = float(l2) * self.statistics.scale
        self.options["statistics"] = selected
        return self.solver(self.inputs, self.targets, l2=penalty, **self.options)

    def planes(self, solution: solvers.Solution) -> tuple[Tensor, Tensor]:
        """Unit normals and biases; of ridge on all samples, planes where the predicted value is the threshold."""
        length = torch.linalg.vector_norm(solution.weights, dim=1)
        biases = solution.biases
        if self.name == "ridge" and self.selection == "all":
            biases = biases - biases.new_tensor([c.standardised()[1] for c in self.columns])
        return solution.weights / length[:, None], biases / length

    def bootstrap(self, solution: solvers.Solution, refits: int, seed: int) -> list[dict[str, float]]:
        """:class:`~ifgan_pl.boundaries.bootstrap.Stability` of each normal, and the samples for a cosine of .95."""
        again = bootstrap(
            self.solver,
            self.inputs,
            self.targets,
            solution,
            refits=refits,
            seed=seed + rank(),
            **self.options,
        )
        found = stability(again, solution.weights)
        trained = torch.tensor([int((column.part == 1).sum()) for column in self.columns]).to(found.noise)
        wanted = found.samples_for(0.95, 1) * trained
        rows = torch.stack([found.refits, found.low, found.high, found.noise, found.agreement, wanted], 1).tolist()
        keys = ("refit_cosine", "cosine_low", "cosine_high", "noise", "agreement", "samples_for_95")
        return [{k: v for k, v in zip(keys, row, strict=True) if v < float("inf")} for row in rows]


def _decide(codes: Tensor, normals: Tensor, biases: Tensor, device: torch.device) -> Tensor:
    """Signed distances (N, m) on the CPU."""
    normals, biases = normals.to(device, codes.dtype), biases.to(device, codes.dtype)
    parts = [torch.addmm(biases, codes[rows].to(device), normals.mT).cpu() for rows in chunks(codes)]
    return torch.cat(parts) if parts else torch.zeros(0, len(normals), dtype=codes.dtype)


def _check(
    codes: Tensor,
    scores: Tensor,
    names: list[str],
    kinds: Sequence[str] | None,
    selection: str,
    solver: str,
    l2: float | Mapping[str, float] | str,
) -> None:
    if scores.ndim != 2 or not scores.is_floating_point() or not codes.is_floating_point():
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
    if solver not in solvers.SOLVERS:
        raise UserError(f"unknown solver {solver!r}; known: {', '.join(solvers.SOLVERS)}")
    if isinstance(l2, str) and l2 not in ("cv", "svc"):
        raise UserError(f"l2 must be a number, cv or svc, got {l2!r}")
    if isinstance(l2, Mapping) and set(l2) != set(names):
        raise UserError(f"l2 by attribute must name {', '.join(names)}, got {', '.join(l2)}")
    if not isinstance(l2, str) and not all(value > 0 for value in (l2.values() if isinstance(l2, Mapping) else [l2])):
        raise UserError(f"l2 must be positive, got {l2}")
    if l2 == "cv" and solver not in CURVATURE:
        raise UserError(f"l2 by cross-validation is for {', '.join(CURVATURE)}; give {solver} a number or svc")
    wrong = int(sum_over_ranks(torch.tensor([(~codes[rows].isfinite().all(1)).sum() for rows in chunks(codes)]).sum()))
    if wrong:
        raise UserError(f"{wrong} of {len(codes)} codes hold values that are not finite")
