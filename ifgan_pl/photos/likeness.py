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
TOLERANCE, COLOUR, WARY = 24.0, 6.0, 3.0
"""Change in levels, beyond what is but lighter or darker, at which e⁻¹ of what is fine is kept; how much more in the
face the square of a change of colour counts, for lips are as light as teeth; how much less beside it a change counts
where the generator shows something else anyway, as a background of its own."""
GRAIN, STROKE, LINE = 1.5 / 1024, 3 / 1024, 5.0
"""Standard deviations of the blurs that part off what is finest, and that tell its strength, in sides of the image;
strength in levels from which it is no grain of the generator but drawn, as thin frames of glasses are."""
DARK, TONES = 8.0, 3.0
"""Levels added where light is divided by light; how much lighter or darker the photograph's own hair becomes at most.
What is beyond is painted over it."""
HEAD, FACE = ((0.5, 0.46), (0.45, 0.54), 0.1), ((0.5, 0.62), (0.26, 0.3), 0.15)
"""Ovals of an FFHQ-aligned image: that in which edits show, and eyes, nose and mouth; x and y of the middle, half the
width and height, and how the rim fades."""
REACH, STILL = (0.46, 0.53), 0.8
"""Half the width and height within which the photograph moves, wider than the head: a neck that an edit makes thinner
goes on below it; share of them from which it does so less and less."""


@torch.no_grad()
def carry_over(
    photo: NDArray[np.generic], before: NDArray[np.generic], after: NDArray[np.generic]
) -> NDArray[np.float32]:
    """The photograph with an edit: the change of the generator's image, and of the photograph what it leaves alone.

    What the edit moves, the photograph moves as well (:mod:`ifgan_pl.photos.motion`). What the edit makes lighter or
    darker, as hair that turns grey, is the photograph made so. Where the edit changes little besides, it is the
    photograph that changes; what is finest is the photograph's alone there, unless it is as strong as a line: the
    generator's grain would show as a weave. Where it changes much, ``after`` is shown, in the light of the photograph.
    Where the two show different things (a hat, hair that ends elsewhere), the photograph stays as it is, light comes
    from beside, and only a large change shows. Nothing changes far from the face.

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
    goes = motion * reach(motion.shape[-1])
    moved, old, new = warp(original, goes), warp(old, goes), warp(new, goes - motion)
    gain = brightened(old, new)
    change, rest = new - gain * old, moved - old
    unlike = smooth(rest, NEAR) - smooth(rest, CAST)
    trust = torch.exp(-unlike.square().mean(1, keepdim=True) / TRUST**2)
    face = oval(original.shape[-1], *FACE)
    colour = change - rgb_to_grayscale(change)
    size = smooth((change.square() + COLOUR * face * colour.square()).mean(1, keepdim=True), NEAR).clamp_min(0)
    wary = 1 + WARY * (1 - face) * smooth(1 - trust, NEAR).clamp(0, 1)
    lost = 1 - torch.exp(-size / (wary * TOLERANCE**2))
    even = blurred(change, GRAIN * change.shape[-1])
    fine = change - even
    drawn = 1 - torch.exp(-((blurred(fine.square().mean(1, keepdim=True), STROKE * fine.shape[-1]) / LINE**2) ** 2))
    change = even + (1 - (1 - lost) * (1 - drawn)) * fine
    kept = (1 + trust * (gain - 1)) * moved + trust * change
    painted = gain * old + change + KEPT * light(rest, trust)
    edited = (1 - lost) * kept + lost * painted
    result = torch.where(edited == original, original, moved + oval(original.shape[-1], *HEAD) * (edited - moved))
    return result[0].permute(1, 2, 0).contiguous().numpy()


def brightened(old: Tensor, new: Tensor) -> Tensor:
    """How much lighter (1, 3, S, S) becomes, all but what is fine of it: (1, 1, S, S), 1 / TONES to TONES."""
    was, now = (smooth(rgb_to_grayscale(image), COARSE).clamp_min(0) + DARK for image in (old, new))
    ratio: Tensor = now / was
    return ratio.clamp(1 / TONES, TONES)


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


def oval(size: int, middle: tuple[float, float], axes: tuple[float, float], softness: float) -> Tensor:
    """Weights (size, size) in [0, 1]: 1 within, falling smoothly to 0 outside; see :data:`HEAD`."""
    x, y = places(size, middle, axes)
    return ramp((1 + softness - (x.square() + y.square()[:, None]).sqrt()) / (2 * softness))


def reach(size: int) -> Tensor:
    """Weights (size, size) in [0, 1]: 1 on a head and beside it, falling smoothly to 0 at the border."""
    x, y = places(size, HEAD[0], REACH)
    return ramp((1 - (x**4 + y[:, None] ** 4) ** 0.25) / (1 - STILL))


def places(size: int, middle: tuple[float, float], axes: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """x and y (size) of pixels from the middle, in half the width and height."""
    place = (torch.arange(size) + 0.5) / size
    return (place - middle[0]) / axes[0], (place - middle[1]) / axes[1]


def ramp(value: Tensor) -> Tensor:
    """0 to 1, smooth at both ends."""
    value = value.clamp(0, 1)
    return value.square() * (3 - 2 * value)
