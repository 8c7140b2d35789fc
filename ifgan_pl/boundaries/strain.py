"""Requests that go against how attributes vary together: how much longer they make the step, and because of what."""

from collections.abc import Mapping, Sequence

import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.filters import filters, in_units
from ifgan_pl.core.errors import UserError

HARD, HOPELESS = 2.0, 6.0
"""Strain from which a request is warned of, and from which it is refused."""


@torch.no_grad()
def strain(
    boundary: LinearBoundary,
    changes: Mapping[str, float],
    *,
    hold: Sequence[str] | str = (),
    unit: str = "std",
    metric: str | None = None,
) -> tuple[float, str]:
    """How many times as long the step of a request is as if its attributes had nothing to do with each other.

    With ``c`` the changes, each as the length of a step of its own in the metric, zero for what is held, and ``C`` the
    cosines between the directions in that metric: ``√(cᵀ C⁻¹ c / cᵀc)``. 1: independent; much more: what is asked is
    hardly seen together in any face.

    Args:
        changes, hold, unit, metric: see :meth:`LinearBoundary.edit_shift`.

    Returns:
        the strain, and the attribute without which it falls most (empty where one attribute is edited alone).
    """
    edited = {boundary.attributes[boundary.index(name)]: float(value) for name, value in changes.items()}
    names = [*edited, *boundary.held(hold, list(edited))]
    rows = [boundary.index(name) for name in names]
    read, spread = filters(boundary, rows, metric)
    gram = spread @ read.mT
    size = gram.diagonal().sqrt()
    wanted = torch.tensor([*edited.values(), *[0.0] * (len(names) - len(edited))], dtype=torch.float64)
    wanted = in_units(boundary, wanted, rows, unit, metric) / size
    cosines = gram / size.outer(size)

    def of(kept: list[int]) -> float:
        part = wanted[kept]
        if not bool(part.any()):
            return float("inf")
        return float((part @ torch.linalg.pinv(cosines[kept][:, kept]) @ part / part.square().sum()).sqrt())

    everything = list(range(len(names)))
    if len(names) == 1:
        return 1.0, ""
    without = [of([i for i in everything if i != j]) for j in everything]
    return of(everything), names[min(everything, key=lambda j: without[j])]


def check_strain(
    boundary: LinearBoundary,
    changes: Mapping[str, float],
    *,
    hold: Sequence[str] | str = (),
    unit: str = "std",
    metric: str | None = None,
) -> str:
    """A sentence that warns of a request, empty for one that is fine.

    Raises:
        UserError: a request that makes no sense.
    """
    found, because = strain(boundary, changes, hold=hold, unit=unit, metric=metric)
    if not found >= HARD:
        return ""
    text = ", ".join(f"{name}={value:+g}" for name, value in changes.items())
    reason = f"{text} goes against how faces vary: its step is {found:.1f} times as long as the attributes' own"
    if found >= HOPELESS:
        raise UserError(f"{reason}; no face looks like that: drop {because}, or hold less")
    return f"{reason}, mostly because of {because}; without it images change less besides"
