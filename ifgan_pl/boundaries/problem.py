"""A fit, step by step: targets, solver, planes, what is measured of them, and how much of them is noise."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ifgan_pl.boundaries.bootstrap import bootstrap, stability
from ifgan_pl.boundaries.cross_validation import cross_validate
from ifgan_pl.boundaries.side_effects import counter
from ifgan_pl.boundaries.solvers import SOLVER_LOSSES, SOLVERS, Solution
from ifgan_pl.boundaries.solvers.losses import LOSSES
from ifgan_pl.boundaries.solvers.moments import Rows, chunks, moments
from ifgan_pl.boundaries.targets import TRAIN, VALIDATION, AttributeSamples
from ifgan_pl.core.distributed import Ranks

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


class FitProblem:
    """What a solver is given: this rank's rows that any attribute selects, and their targets; and what it found.

    Args:
        codes: (N, d), this rank's rows.
        samples: of the m attributes, of all ranks' rows.
        own: which of these are this rank's.
        solver: see :func:`ifgan_pl.boundaries.fit.fit_boundary`.
        device: that computes.
        ranks: that fit together.
    """

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
        # nine digits: the last bits depend on how many threads sum, and the file would with them
        return [{k: float(f"{v:.9g}") for k, v in zip(keys, row, strict=True) if v < float("inf")} for row in rows]
