"""Augmentation on the device, every draw a function of (seed, epoch, index) alone.

An image is augmented the same whatever the batch, the rank or the machine it lands on, so that a run resumed after a
kill repeats what it would have done. Meant to carry a scorer from one generator to others and to photographs:
mirror, crop and alignment, blur and sharpening, colour, greyscale, noise, JPEG.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ifgan_pl.core.cores import workers

LUMINANCE = (0.299, 0.587, 0.114)
DRAWS = 24


def uniforms(seed: int, epoch: int, index: Tensor, count: int) -> NDArray[np.float64]:
    """Uniform draws of NumPy's Philox with key ``seed``, for each sample from counter (0, 1, index, epoch) on.

    Args:
        seed, epoch: any integers.
        index: (N,) int64 sample indices.
        count: draws a sample; more draws leave the first ones as they are.

    Returns:
        (N, count) float64 in [0, 1).
    """
    philox = np.random.Philox(key=seed % 2**64)
    generator, state = np.random.Generator(philox), philox.state
    draws = np.empty((len(index), count))
    for row, i in zip(draws, index.tolist(), strict=True):
        state["state"]["counter"][:] = (0, 1, i % 2**64, epoch % 2**64)
        philox.state = state
        generator.random(out=row)
    return draws


def augment(
    images: Tensor,
    index: Tensor,
    *,
    seed: int,
    epoch: int,
    size: int | None = None,
    strength: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Augment a batch.

    Args:
        images: (N, 3, H, W), uint8 or float in [-1, 1].
        index: (N,) int64, the samples' indices in their data set.
        seed, epoch: with the index they determine every draw.
        size: side of the result in pixels, a multiple of 8; ``None``: H.
        strength: 0 leaves the image as it is, 1 is meant for training.

    Returns:
        images (N, 3, size, size) float in [-1, 1], and the geometry (N, 2, 3): an augmented pixel at (x, y), in
        coordinates from -1 to 1, shows what was at geometry @ (x, y, 1). A negative determinant is a mirror.
    """
    size = size or images.shape[-2]
    x = images.float().div_(127.5).sub_(1) if images.dtype == torch.uint8 else images
    draws = torch.from_numpy(uniforms(seed, epoch, index, DRAWS)).to(x)
    signed = draws * 2 - 1
    theta = geometry(draws, strength)
    grid = F.affine_grid(theta, [len(x), 3, size, size], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    x = soften(x, 1.25 * strength * (signed[:, 6] + 0.3) * (draws[:, 7] < 0.5))
    x = recolour(x, strength * signed[:, 8:14], greyscale=draws[:, 14] < 0.15 * min(strength, 1))
    x = add_noise(x, 0.12 * strength * draws[:, 15] ** 2 * (draws[:, 16] < 0.4), draws[:, 17:20])
    pressed = torch.nonzero(draws[:, 20] < 0.3 * min(strength, 1)).flatten()
    if len(pressed):
        x = x.index_copy(0, pressed, jpeg(x[pressed], 25 + 65 * draws[pressed, 21]))
    return x.clamp(-1, 1), theta


def geometry(draws: Tensor, strength: float) -> Tensor:
    """Alignment jitter as affine maps from result to source, (N, 2, 3): mirror, zoom, aspect, turn, shift."""
    signed = draws * 2 - 1
    zoom = torch.exp(strength * (0.22 * signed[:, 0] - 0.04))
    aspect = torch.exp(strength * 0.06 * signed[:, 1])
    angle = strength * math.radians(14) * signed[:, 2] * draws[:, 22]
    flip = torch.where(draws[:, 3] < 0.5 * min(strength, 1), -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        zoom * aspect * cos * flip,
        -zoom * aspect * sin,
        0.13 * strength * signed[:, 4],
        zoom / aspect * sin * flip,
        zoom / aspect * cos,
        0.13 * strength * signed[:, 5],
    ]
    return torch.stack(rows, 1).reshape(-1, 2, 3)


def soften(x: Tensor, amount: Tensor) -> Tensor:
    """Blur (amount > 0) or sharpen (< 0) each image by its own share of a 3×3 binomial filter, applied twice."""
    chosen = torch.nonzero(amount).flatten()
    if not len(chosen):
        return x
    y, share = x[chosen], amount[chosen, None, None, None].to(x)
    for _ in range(2):
        rows = F.pad(y, (0, 0, 1, 1), mode="replicate")
        rows = rows[:, :, :-2] + rows[:, :, 2:] + 2 * y
        both = F.pad(rows, (1, 1, 0, 0), mode="replicate")
        y = torch.lerp(y, (both[..., :-2] + both[..., 2:] + 2 * rows) / 16, share)
    return x.index_copy(0, chosen, y)


def recolour(x: Tensor, signed: Tensor, greyscale: Tensor) -> Tensor:
    """Brightness, contrast, saturation and colour balance as one 3×3 matrix and an offset an image.

    Args:
        x: (N, 3, H, W).
        signed: (N, 6) in [-1, 1].
        greyscale: (N,) bool, images that lose their colour.
    """
    contrast = torch.exp(0.35 * signed[:, 0])
    saturation = torch.where(greyscale, 0.0, torch.exp(0.6 * signed[:, 1]))[:, None, None]
    grey = x.new_tensor(LUMINANCE).expand(3, 3)
    matrix = saturation * torch.eye(3, device=x.device, dtype=x.dtype) + (1 - saturation) * grey
    balance = torch.where(greyscale[:, None], 1.0, torch.exp(0.12 * signed[:, 2:5]))
    matrix = contrast[:, None, None] * balance[:, :, None] * matrix
    offset = (0.25 * signed[:, 5])[:, None, None].expand(-1, 3, 1)
    return torch.baddbmm(offset, matrix, x.flatten(2)).reshape(x.shape)


@lru_cache(maxsize=2)
def noise_field(height: int, width: int) -> NDArray[np.float32]:
    """The fixed Gaussian field of :func:`add_noise`, (3, height, width) float32."""
    return np.random.Generator(np.random.Philox(key=0)).standard_normal((3, height, width), np.float32)


def add_noise(x: Tensor, std: Tensor, draws: Tensor) -> Tensor:
    """Gaussian noise of its own std an image, cut from one fixed field where ``draws`` (N, 3) say."""
    noisy = torch.nonzero(std > 0).flatten()
    if not len(noisy):
        return x
    height, width = x.shape[-2:]
    field = torch.from_numpy(noise_field(height + 64, width + 64)).to(x)
    result = x.clone()
    for i in noisy.tolist():
        top, left = (int(v) for v in draws[i, :2] * 65)
        cut = field[:, top : top + height, left : left + width]
        result[i] = x[i] + torch.copysign(std[i], draws[i, 2] - 0.5) * cut
    return result


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """What JPEG loses: each image encoded and decoded by libjpeg, on the CPU; no gradient passes.

    Args:
        x: (N, 3, H, W) in [-1, 1], on any device.
        quality: (N,) in [1, 100].
    """
    stored = (x.detach().clamp(-1, 1) * 127.5 + 127.5).round().to("cpu", torch.uint8)

    def encoded_and_decoded(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
        file = BytesIO()
        Image.fromarray(image).save(file, "jpeg", quality=quality, subsampling=0)
        return np.asarray(Image.open(file))

    with ThreadPoolExecutor(min(len(x), workers())) as pool:
        rows = stored.permute(0, 2, 3, 1).contiguous().numpy()
        decoded = list(pool.map(encoded_and_decoded, rows, quality.round().int().tolist()))
    return torch.from_numpy(np.stack(decoded)).to(x).permute(0, 3, 1, 2) / 127.5 - 1
