"""What a network sees where: the maps of its last two resolutions, beside what its last layer is given."""

import torch
from torch import Tensor, nn

from ifgan_pl.core.errors import UserError

SIZES = 2
"""Of the last so many resolutions the last map is looked at."""


def seen_with_maps(backbone: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features and maps of images, as a scorer's heads look at them.

    Args:
        backbone: a network of our own, whose layers follow one another.
        images: (N, 3, size, size) in [-1, 1].

    Returns:
        features (N, F), as the network gives them; and (N, D): them again, and its last maps, each averaged with its
        mirror image, of which one half remains.

    Raises:
        UserError: a network of another make.
    """
    if not isinstance(backbone, nn.Sequential):
        raise UserError("heads look at the maps of a network of our own only: small or fine")
    x, maps = images, {}
    for layer in backbone:
        x = layer(x)
        if x.ndim == 4 and x.shape[-1] > 1:
            maps[x.shape[-1]] = x
    halves = [((m + m.flip(-1)) / 2)[..., : (size + 1) // 2] for size, m in list(maps.items())[-SIZES:]]
    return x, torch.cat([x, *(half.flatten(1) for half in halves)], 1)


@torch.no_grad()
def map_width(backbone: nn.Module, image_size: int) -> int:
    """How many columns (D) :func:`seen_with_maps` gives for images of a side."""
    training = backbone.training
    columns = seen_with_maps(backbone.eval(), torch.zeros(1, 3, image_size, image_size))[1].shape[1]
    backbone.train(training)
    return columns
