"""How an edit moves a face: the flow between two images of a generator, after Lucas and Kanade (1981), coarse to fine.

Images are compared in their structure (local contrast), not in their colours: an edit changes these as well.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = (32, 64, 128, 256)
"""Sides of the images at which motion is sought, one after the other."""
STEPS = 4
"""Of each size."""
WINDOW, CONTRAST = 2.0, 6.0
"""Standard deviations in pixels of the window that moves as one, and of what counts as local contrast."""
NOISE, STILL = 6.0, 0.03
"""Levels added to the local contrast; added to the squared gradients, so that what has no structure does not move."""
SMOOTH = 4.0
"""Standard deviation in pixels, of each size, of the blur of the motion: where it turns sooner, lines curl."""
FARTHEST = 0.04
"""Sides of the image that anything moves at most."""


def flow(before: Tensor, after: Tensor) -> Tensor:
    """The motion from one image to another: ``after(p) ≈ before(p + flow(p))``.

    Args:
        before, after: (3, S, S) float32, values 0 to 255, S ≥ 256.

    Returns:
        (2, 256, 256) float32: x and y in sides of the image; exactly nought where the images are equal.
    """
    u = torch.zeros(1, 2, SIZES[0], SIZES[0])
    for size in SIZES:
        old, new = (structure(F.interpolate(image[None], (size, size), mode="area")) for image in (before, after))
        u = F.interpolate(u, (size, size), mode="bilinear", align_corners=False)
        for _ in range(STEPS):
            moved = warp(old, u)
            right, down = gradients(moved)
            error = new - moved
            pairs = (right, right), (right, down), (down, down), (right, error), (down, error)
            xx, xy, yy, x, y = (blurred((a * b).sum(1, keepdim=True), WINDOW) for a, b in pairs)
            xx, yy = xx + STILL, yy + STILL
            step = torch.cat([yy * x - xy * y, xx * y - xy * x], 1) / (xx * yy - xy * xy)
            u = (u + step.clamp(-1, 1) / size).clamp(-FARTHEST, FARTHEST)
        u = blurred(u, SMOOTH)
    was, now = (blurred((new - image).square().sum(1, keepdim=True), 2 * WINDOW) for image in (old, warp(old, u)))
    better = ((was - now) / (was + 1e-6) * 2).clamp(0, 1)  # where moving does not explain the change, nothing moves
    return (u * blurred(better, WINDOW))[0]


def structure(image: Tensor) -> Tensor:
    """An image (1, 3, S, S) less its local mean, by its local contrast."""
    rest = image - blurred(image, CONTRAST)
    return rest / (blurred(rest.square(), CONTRAST).sum(1, keepdim=True).clamp_min(0).sqrt() + NOISE)


def gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences (1, C, S, S) to the right and down."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    return (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2


def warp(image: Tensor, u: Tensor) -> Tensor:
    """An image (1, C, S, S) as it looks once moved: its values at p + u(p), u (1, 2, s, s) in sides; bicubic.

    Where nothing moves, it is the image exactly.
    """
    size = image.shape[-1]
    if u.shape[-1] != size:
        u = F.interpolate(u, (size, size), mode="bilinear", align_corners=False)
    place = (torch.arange(size, dtype=u.dtype) + 0.5) / size * 2 - 1
    grid = torch.stack([place.expand(size, size), place[:, None].expand(size, size)], -1) + 2 * u[0].permute(1, 2, 0)
    moved = F.grid_sample(image, grid[None], mode="bicubic", padding_mode="border", align_corners=False)
    return torch.where((u == 0).all(1, keepdim=True), image, moved)


def blurred(image: Tensor, radius: float) -> Tensor:
    """An image (N, C, S, S) under a Gaussian of this standard deviation in pixels, its edges continued."""
    size = image.shape[-1]
    place = np.arange(size)
    weights = np.exp(-(((place[:, None] - place) / radius) ** 2) / 2)
    matrix = torch.from_numpy((weights / weights.sum(1, keepdims=True)).astype(np.float32))
    result: Tensor = matrix @ image @ matrix.mT
    return result
