"""How a boundary is fitted: one function each, one signature, exact and full-batch; :mod:`.sgd` is the one that is not.

Every solver minimises, for m attributes at once and each on its own,

    ``Σᵢ ωᵢⱼ loss(wⱼᵀxᵢ + bⱼ, tᵢⱼ) / Σᵢ ωᵢⱼ + l2ⱼ/2 |wⱼ|²``

over the rows whose target is not NaN, with the bias unpenalised. ``sklearn.svm.SVC``'s C is ``1 / (N l2)``. Keyword
arguments that all share, :class:`~.solution.Options`:

- ``weights``: (N,) or (N, m) sample weights ≥ 0; default ones.
- ``l2``: penalty, a number or (m,).
- ``statistics``: :class:`~.moments.Moments` of the codes over all ranks, where they are known already.
- ``start``: weights (m, d) and biases (m,) to begin from; default zeros.
- ``reduce``: sums a float64 tensor over the ranks that hold the other rows; default: there are none.
- ``tolerance``: the gradient's norm at which to stop, relative to that at zero.
- ``max_steps``: Newton steps at most.
"""

from collections.abc import Callable

from ifgan_pl.boundaries.solvers.hinge import hinge
from ifgan_pl.boundaries.solvers.newton import logistic, squared_hinge
from ifgan_pl.boundaries.solvers.ridge import ridge
from ifgan_pl.boundaries.solvers.solution import Options, Solution

__all__ = ["SOLVERS", "SOLVER_LOSSES", "Options", "Solution", "hinge", "logistic", "ridge", "squared_hinge"]

SOLVERS: dict[str, Callable[..., Solution]] = {
    "ridge": ridge,
    "logistic": logistic,
    "squared_hinge": squared_hinge,
    "hinge": hinge,
}
SOLVER_LOSSES = {"ridge": "squared", "logistic": "logistic", "squared_hinge": "squared_hinge", "hinge": "hinge"}
"""The loss of :data:`.losses.LOSSES` that each solver minimises."""
