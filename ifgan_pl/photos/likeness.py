"""What the generator cannot express of a photograph, carried over to an edited image where the edit changes little."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

from ifgan_pl.photos.motion import blurred, flow, warp

GRID = 256
"""Side at which images are blurred."""
COARSE, NEAR = 24 / 1024, 8 / 1024
"""Standard deviations of the blurs that part coarse from fine, and that spread the change, in sides of the image."""
CAST = 80 / 1024
"""The same of the blur that tells what light does to colours: of lips that the generator paints too red, what is taken
from the red would make new teeth green."""
TRUST, LEAST = 24.0, 0.02
"""Difference in levels at which the photograph and the generator's image show the same thing to e⁻¹; trust
that is left in what they show, so that light comes from somewhere where they agree nowhere."""
KEPT = 0.9
"""Share of what is coarse that is kept where the edit changes all."""
TOLERANCE = 32.0
"""Change in levels at which e⁻¹ of what is fine is kept."""
GRAIN = 1.5 / 1024
"""Standard deviation of the blur that parts off what is finest, in sides of the image."""
CENTRE, AXES, SOFTNESS = (0.5, 0.46), (0.45, 0.54), 0.1
"""The oval of an FFHQ-aligned image in which edits show: x and y, half its width and height; how its rim fades."""


@torch.no_grad()
def carry_over(
    photo: NDArray[np.generic], before: NDArray[np.generic], after: NDArray[np.generic]
) -> NDArray[np.float32]:
    """The photograph with an edit: the change of the generator's image, and of the photograph what it leaves alone.

    What the edit moves, the photograph moves as well (:mod:`ifgan_pl.photos.motion`). Where the edit changes little
    besides, it is the photograph that changes; what is finest is the photograph's alone there: the generator's grain
    would show as a weave. Where it changes much, ``after`` is shown, in the light of the photograph. Where the two
    show different things (a hat, hair that ends elsewhere), the photograph stays as it is, light comes from beside,
    and only a large change shows. Nothing changes far from the face.

    Args:
        photo: (S, S, 3), values 0 to 255: the FFHQ-aligned photograph, S ≥ 256.
        before, after: (S, S, 3): what the generator makes of it without and with the edit.

    Returns:
        (S, S, 3) float32, about 0 to 255; ``photo`` exactly where nothing changes.
    """
    original, old, new = (
        torch.from_numpy(np.asarray(x, np.float32)).permute(2, 0, 1)[None] for x in (photo, before, after)
    )
    motion = flow(old[0], new[0])[None]
    moved, old = warp(original, motion), warp(old, motion)
    change, rest = new - old, moved - old
    size = smooth(change.square().mean(1, keepdim=True), NEAR).clamp_min(0)
    lost = 1 - torch.exp(-size / TOLERANCE**2)
    even = blurred(change, GRAIN * change.shape[-1])
    change = even + lost * (change - even)
    unlike = smooth(rest, NEAR) - smooth(rest, CAST)
    trust = torch.exp(-unlike.square().mean(1, keepdim=True) / TRUST**2)
    edited = (1 - lost) * (moved + trust * change) + lost * (old + change + KEPT * light(rest, trust))
    result = torch.where(edited == original, original, original + oval(original.shape[-1]) * (edited - original))
    return result[0].permute(1, 2, 0).contiguous().numpy()


def light(rest: Tensor, trust: Tensor) -> Tensor:
    """What is coarse of (1, 3, S, S), by trust (1, 1, S, S): brightness blurred by COARSE, colours by CAST."""
    trust = trust + LEAST
    near, wide = (smooth(trust * rest, radius) / smooth(trust, radius) for radius in (COARSE, CAST))
    grey: Tensor = rgb_to_grayscale(near - wide)
    return wide + grey


def smooth(image: Tensor, radius: float) -> Tensor:
    """An image (1, C, S, S) under a Gaussian whose standard deviation is given in sides."""
    size = image.shape[-1]
    small = F.interpolate(image, (GRID, GRID), mode="area")
    return F.interpolate(blurred(small, radius * GRID), (size, size), mode="bicubic", align_corners=False)


def oval(size: int) -> Tensor:
    """Weights (size, size) in [0, 1]: 1 on a head, falling smoothly to 0 beside it."""
    place = (torch.arange(size) + 0.5) / size
    x, y = (place - CENTRE[0]) / AXES[0], (place - CENTRE[1]) / AXES[1]
    ramp = ((1 + SOFTNESS - (x.square() + y.square()[:, None]).sqrt()) / (2 * SOFTNESS)).clamp(0, 1)
    return ramp.square() * (3 - 2 * ramp)
