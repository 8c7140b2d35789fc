"""A small tuning of the generator's weights around a code, so that it shows this one face better.

After pivotal tuning (Roich et al. 2021, arXiv 2106.05744); but changes are of low rank, and of the 1 × 1 convolutions
alone: half a megabyte a face.
"""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.mobile import CHANNELS, PREVIEW_BLOCK, MobileStyleGAN

RANK = 16
"""Of the change of each weight."""
LEFT, RIGHT = ".left", ".right"
"""Suffixes of the two factors of a weight's change."""


def tunable(generator: Generator) -> tuple[list[str], list[str]]:
    """Names of the weights that can be tuned: those that the preview sees, and the others; none of other families."""
    if not isinstance(generator, MobileStyleGAN):
        return [], []
    names = [f"blocks.{i}.conv{j}.pointwise.weight" for i in range(len(CHANNELS)) for j in (1, 2)]
    return names[: 2 * PREVIEW_BLOCK], names[2 * PREVIEW_BLOCK :]


class Synthesis(nn.Module):
    """A generator's synthesis as a module's ``forward``, whose weights can be given with each call."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, ws: Tensor, resolution: int | None) -> Tensor:
        """See :meth:`ifgan_pl.generators.base.Generator.synthesis`."""
        image: Tensor = self.generator.synthesis(ws, resolution)  # type: ignore[operator]
        return image

    def tuned(self, tuning: Mapping[str, Tensor], ws: Tensor, resolution: int | None) -> Tensor:
        """Images by changed weights, differentiable in the changes."""
        weights = {f"generator.{name}": weight for name, weight in changed_weights(self.generator, tuning).items()}
        image: Tensor = functional_call(self, weights, (ws, resolution))
        return image


def changed_weights(generator: nn.Module, tuning: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a tuning changes, changed, by name.

    Raises:
        UserError: the tuning belongs to another generator.
    """
    changed = {}
    for name in (name.removesuffix(LEFT) for name in tuning if name.endswith(LEFT)):
        try:
            weight = generator.get_parameter(name)
            changed[name] = weight + (tuning[name + LEFT] @ tuning[name + RIGHT]).to(weight)
        except (AttributeError, KeyError, RuntimeError) as error:
            raise UserError(f"this inversion was made with another generator ({error})") from None
    return changed


def tuned(generator: Generator, tuning: Mapping[str, Tensor]) -> Generator:
    """A generator with changed weights; the generator itself where there are no changes."""
    if not tuning:
        return generator
    assert isinstance(generator, nn.Module)
    result = copy.deepcopy(generator)
    with torch.no_grad():
        for name, weight in changed_weights(generator, tuning).items():
            result.get_parameter(name).copy_(weight)
    return result


def initial_tuning(generator: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """Factors of no change: the left ones nought, the right ones random of a fixed seed."""
    rng = np.random.Generator(np.random.Philox(key=0))
    tuning = {}
    for name in names:
        weight = generator.get_parameter(name)
        rank = min(RANK, *weight.shape)
        right = rng.standard_normal((rank, weight.shape[1])) / weight.shape[1] ** 0.5
        tuning[name + LEFT] = weight.new_zeros(weight.shape[0], rank)
        tuning[name + RIGHT] = torch.from_numpy(right).to(weight)
    return tuning


def factors_of(tuning: Mapping[str, Tensor], names: Sequence[str]) -> list[Tensor]:
    """The factors of these weights' changes."""
    return [tuning[name + side] for name in names for side in (LEFT, RIGHT)]
