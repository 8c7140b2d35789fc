"""From (seed, index) to latent codes, and from latent codes to images, whatever the batch size and number of ranks."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.truncation import check_truncation

Space = Literal["z", "w", "w+"]
"""A latent space, as it is called on the command line and in files."""
BLOCK = 256
"""Indices that share one Philox counter. Another value would give other samples."""


def sample_z(indices: Sequence[int] | range, z_dim: int, *, seed: int = 0) -> Tensor:
    """Standard normal latent codes z, bit-identical on any machine, rank count and batch size.

    Block ``b`` holds indices ``256 b … 256 b + 255`` and is drawn in float64 by NumPy's Philox with key ``seed`` and
    counter ``(0, 0, b, 0)``; torch's ``randn`` differs between processors' kernels.

    Args:
        indices: sample indices, each ≥ 0; any order, repeats allowed.
        z_dim: dimension of Z.
        seed: 0 ≤ seed < 2**64.

    Returns:
        (len(indices), z_dim) float32 on the CPU.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}")
    wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
    if wanted.size and wanted.min() < 0:
        raise ValueError(f"sample indices must be >= 0, got {wanted.min()}")
    z = np.empty((wanted.size, z_dim), dtype=np.float32)
    for block in np.unique(wanted // BLOCK):
        rows = np.flatnonzero(wanted // BLOCK == block)
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, int(block), 0]))
        z[rows] = generator.standard_normal((BLOCK, z_dim))[wanted[rows] - block * BLOCK]
    return torch.from_numpy(z)


def check_space(generator: Generator, space: str) -> None:
    """Raise a UserError unless the generator has this latent space."""
    if space not in generator.spaces:
        raise UserError(f"{generator.name} has the latent spaces {', '.join(generator.spaces)}, not {space!r}")


def device_of(generator: Generator) -> torch.device:
    """Where a generator's weights are; the CPU for one that has none."""
    parameters = getattr(generator, "parameters", None)
    first = next(iter(parameters()), None) if parameters is not None else None
    return first.device if isinstance(first, Tensor) else torch.device("cpu")


def check_unconditional(generator: Generator) -> None:
    """Raise a UserError for a conditional generator, whose samples would need class labels."""
    if generator.c_dim:
        raise UserError(
            f"{generator.name} is conditional ({generator.c_dim} classes) and cannot be sampled without labels: "
            "make W codes with generator.mapping(z, labels) and give them as --latents"
        )


def sample_codes(
    generator: Generator, indices: Sequence[int] | range, *, seed: int = 0, space: str = "w", truncation: float = 0.7
) -> Tensor:
    """The latent codes of samples: row k belongs to sample ``indices[k]`` of the stream ``seed``.

    Args:
        generator: on any device; unconditional.
        indices: sample indices ≥ 0.
        seed: of the stream.
        space: ``z`` gives z; ``w`` the truncated W code; ``w+`` the same in each of the ``num_ws`` rows.
        truncation: psi; 1 means none. Z codes are truncated later, by :func:`synthesise`.

    Returns:
        (N, z_dim), (N, w_dim) or (N, num_ws, w_dim) float32 on the generator's device.
    """
    check_space(generator, space)
    check_truncation(generator, truncation)
    check_unconditional(generator)
    z = sample_z(indices, generator.z_dim, seed=seed).to(device_of(generator))
    if space == "z":
        return z
    with torch.no_grad():
        w = generator.truncate(map_micro_batches(generator.mapping, z), truncation).float()
    return w if space == "w" else w[:, None].expand(-1, generator.num_ws, -1)


def synthesise(
    generator: Generator, codes: Tensor, *, space: str, truncation: float = 1.0, resolution: int | None = None
) -> Tensor:
    """Images of latent codes, computed in micro-batches of a fixed size.

    Args:
        generator: on the codes' device.
        codes: (N, z_dim), (N, w_dim) or (N, num_ws, w_dim), N ≥ 1.
        space: of the codes: ``z``, ``w`` or ``w+``.
        truncation: psi for Z codes of a family that has W; W and W+ codes are taken as truncated.
        resolution: in pixels; native where the family has it, else full synthesis averaged down; ``None``: full.

    Returns:
        (N, 3, H, W) float32, about [-1, 1].
    """
    native, pool = native_resolution(generator, resolution)

    def one_batch(piece: Tensor) -> Tensor:
        if space == "z" and generator.w_mean is not None:
            piece = generator.truncate(generator.mapping(piece), truncation)
        image = generator.synthesis(piece, native).float()
        return F.avg_pool2d(image, pool) if pool > 1 else image

    return map_micro_batches(one_batch, codes, side=native)


def native_resolution(generator: Generator, resolution: int | None) -> tuple[int, int]:
    """How to get images of a resolution: (native resolution to synthesise, factor by which to average it down).

    Raises:
        UserError: it is not native and does not divide ``img_resolution``.
    """
    full = generator.img_resolution
    if resolution is None:
        return full, 1
    if resolution in generator.resolutions:
        return resolution, 1
    if resolution <= 0 or full % resolution:
        raise UserError(
            f"{generator.name} makes {full} × {full} images: --resolution must divide {full}, got {resolution}"
        )
    return full, full // resolution


def parse_indices(text: str) -> list[int]:
    """Indices and ranges, both ends included: ``0-15,40`` is 0, 1, …, 15, 40.

    Raises:
        UserError: the text is anything else.
    """
    indices: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise UserError(f"indices and ranges such as 0-15,40 expected; got {text!r}")
        indices.extend(range(int(first), int(last or first) + 1))
    return indices
