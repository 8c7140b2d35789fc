"""How much of a direction is noise: refits on resampled rows (the bootstrap), and what more samples would change."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from ifgan_pl.boundaries.solvers import Solution

GROUP = 64
"""Columns that are refitted at once: a pass over the codes serves them all."""


@dataclass(frozen=True)
class Stability:
    """Agreement of the directions of refits, for m attributes.

    A refit is the fit plus noise, and the fit is the truth plus noise of the same size: with ``r`` the noise's squared
    length relative to the fit's, two refits meet at cosine ``1 / (1 + r)``, two independent samples at ``1 - r``.

    Attributes:
        refits: (m,) mean cosine between two refits.
        low, high: (m,) 5th and 95th percentile of the cosine between a refit and the fit.
        noise: (m,) ``r``, the share of the fit's squared length that is noise; at most 1.
        agreement: (m,) expected cosine between the fits of two independent samples of this size, ``1 - r``.
    """

    refits: Tensor
    low: Tensor
    high: Tensor
    noise: Tensor
    agreement: Tensor

    def samples_for(self, cosine: float, samples: int) -> Tensor:
        """(m,) samples of which two independent sets would agree to ``cosine``; the noise falls as 1/N.

        Infinite where all is noise. A penalty that is held fixed shrinks both alike.
        """
        return samples * self.noise / self.agreement * cosine / (1 - cosine)


def bootstrap(
    solver: Callable[..., Solution],
    codes: Tensor,
    targets: Tensor,
    fit: Solution,
    *,
    refits: int = 20,
    seed: int = 0,
    rows: slice | None = None,
    total: int | None = None,
    **options: object,
) -> Tensor:
    """Refit with every row counted a Poisson(1) number of times, as in a sample drawn with replacement.

    Args:
        solver: one of :mod:`ifgan_pl.boundaries.solvers`.
        codes, targets, options: as the solver took them for ``fit``; the refits start from it.
        refits: how many.
        seed: of the draws.
        rows, total: which of how many rows these are, where other ranks hold the rest; every number of ranks draws the
            same counts.

    Returns:
        (refits, m, d) float64 weights of the hyperplanes.
    """
    models = targets.shape[1]
    rows, total = rows or slice(0, len(targets)), total or len(targets)
    found: list[Tensor] = []
    while len(found) < refits:
        many = min(max(1, GROUP // models), refits - len(found))
        counts = np.stack([poisson_counts(total, seed, len(found) + k)[rows] for k in range(many)], 1)
        shares = torch.from_numpy(counts).to(targets).repeat_interleave(models, 1)
        start = fit.weights.repeat(many, 1), fit.biases.repeat(many)
        penalty = torch.as_tensor(fit.info["l2"], dtype=torch.float64).repeat(many)
        refit = solver(
            codes, targets.repeat(1, many), weights=shares, l2=penalty, start=start, **{"tolerance": 1e-3, **options}
        )
        found += refit.weights.reshape(many, models, -1).unbind(0)
    return torch.stack(found)


def poisson_counts(count: int, seed: int, refit: int) -> NDArray[np.int64]:
    """(count,) draws of Poisson(1), a function of seed and refit alone."""
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, refit]))
    return generator.poisson(1.0, count)


def stability(refits: Tensor, fit: Tensor) -> Stability:
    """Agreement of directions: refits (b, m, d), b ≥ 2, and the fit (m, d); none need be of unit length."""
    if len(refits) < 2:
        raise ValueError(f"at least 2 refits expected, got {len(refits)}")
    units = normalize(refits, dim=2)
    count = len(units)
    pairs = torch.einsum("amd,bmd->mab", units, units)
    between = (pairs.sum((1, 2)) - count) / (count * (count - 1))
    cosines = (units * normalize(fit, dim=1)).sum(2)
    low, high = torch.quantile(cosines, cosines.new_tensor([0.05, 0.95]), dim=0)
    noise = ((1 - between) / between.clamp_min(1e-12)).clamp(0, 1)
    return Stability(between, low, high, noise, 1 - noise)
