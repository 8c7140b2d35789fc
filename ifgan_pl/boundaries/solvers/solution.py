"""What every solver takes and gives; the package says what they minimise."""

from dataclasses import dataclass
from typing import Any, TypedDict

from torch import Tensor

from ifgan_pl.boundaries.solvers.moments import Moments
from ifgan_pl.core.distributed import Reduce


class Options(TypedDict, total=False):
    """Keyword arguments that all solvers share; :mod:`ifgan_pl.boundaries.solvers` says what they mean."""

    weights: Tensor | None
    statistics: Moments | None
    start: tuple[Tensor, Tensor] | None
    reduce: Reduce
    tolerance: float
    max_steps: int


@dataclass(frozen=True)
class Solution:
    """Hyperplanes ``wᵀx + b = 0`` and how they were found.

    Attributes:
        weights: (m, d) float64, not normalised.
        biases: (m,) float64.
        info: lists of m ``objective``, ``converged``, ``l2`` and, where a gradient was followed,
            ``relative_gradient``; numbers ``newton_steps`` and ``passes`` over the codes.
    """

    weights: Tensor
    biases: Tensor
    info: dict[str, Any]
