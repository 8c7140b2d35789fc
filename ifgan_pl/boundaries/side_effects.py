"""What edits were measured to move besides their target, and how the planes of a fit counter it.

A shift that raises attribute t by one standard deviation of its score raised that of k by ``e[t, k]`` of them, and the
linear model ``f`` says nothing of it. Then the slope of k has that share of the slope of t: ``f_k + Σ_t e[t, k] f_t``.
Holding k by this plane, an edit of t takes ``e[t, k]`` times the edit of k back; the edit of k itself is what it was.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.errors import UserError

SideEffects = Mapping[str, Mapping[str, float]]
"""Target to what else it moves to how much, in standard deviations of the score per one of the target."""


def effects_of(side_effects: SideEffects, names: Sequence[str]) -> Tensor:
    """(m, m) float64: row t, column k holds what an edit of attribute t moves k.

    Raises:
        UserError: an unknown attribute, one that is its own side effect, or a number outside (-1, 1).
    """
    effects = torch.zeros(len(names), len(names), dtype=torch.float64)
    for target, moved in side_effects.items():
        t = attribute_index(target, names)
        for other, value in moved.items():
            k = attribute_index(other, names)
            if k == t or not abs(value) < 1:
                raise UserError(
                    f"side_effects of {target}: other attributes and numbers in (-1, 1), got {other} {value}"
                )
            effects[t, k] = value
    return effects


def counter(
    normals: Tensor, biases: Tensor, strengths: Tensor, mean: Tensor, effects: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The planes that counter side effects.

    Args:
        normals: (m, d) floating, unit.
        biases: (m,).
        strengths: (m,) standard deviations of the score per unit along the normal, λ / std; those of attributes with
            effects on others must be positive.
        mean: (d,) of the codes, where the planes keep what they say.
        effects: (m, m), zero on the diagonal; see :func:`effects_of`.

    Returns:
        normals (m, d), unit, biases and strengths (m,); rows that nothing has an effect on are as they were.
    """
    slopes = normals * strengths[:, None]
    added = effects.to(slopes).mT @ slopes
    length = torch.linalg.vector_norm(slopes + added, dim=1)
    touched = effects.to(normals.device).any(0)
    turned = torch.where(touched[:, None], (slopes + added) / length[:, None], normals)
    moved = torch.where(touched, (strengths * biases - added @ mean) / length, biases)
    return turned, moved, torch.where(touched, length, strengths)
