"""Fakes: a generator and a scorer in which every movement is known, since both are linear. No face in sight."""

import torch
from torch import Tensor


class LinearGenerator:
    """A fake generator: the code (N, 3) in Z or W, or the mean row of W+ (N, 2, 3), is the image's colour."""

    name = family = fingerprint = "linear"
    z_dim = w_dim = img_channels = 3
    c_dim = 0
    num_ws = 2
    img_resolution = 4
    resolutions: tuple[int, ...] = (2, 4)
    spaces: tuple[str, ...] = ("z", "w", "w+")
    w_mean = torch.zeros(3)

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return z

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        return psi * w

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        colour = w.mean(1) if w.ndim == 3 else w
        side = resolution or self.img_resolution
        return colour[:, :, None, None].expand(-1, -1, side, side)


class ColourScorer:
    """A fake scorer: ``weights @ colour``, plus ``bend`` times the square of the first colour.

    Args:
        weights: (k, 3).
        bend: of every score.
    """

    def __init__(self, weights: Tensor, bend: float = 0.0) -> None:
        self.weights, self.bend = weights, bend
        self.sides: set[int] = set()

    def __call__(self, images: Tensor) -> Tensor:
        self.sides.add(images.shape[-1])
        colour = images.mean((2, 3))
        return colour @ self.weights.T + self.bend * colour[:, :1] ** 2
