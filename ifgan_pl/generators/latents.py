"""Sample ``i`` is sample ``i``: latent codes as a function of (seed, index) alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BLOCK = 256
"""Indices that share one Philox counter; a constant of the format, never a setting."""


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
