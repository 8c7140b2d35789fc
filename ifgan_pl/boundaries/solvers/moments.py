"""Codes as rows that are read in parts, and their count, mean and covariance over all ranks."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ifgan_pl.core.distributed import Reduce, alone


class Rows(Protocol):
    """Codes (N, d) that are read a slice at a time: a tensor on any device, a mapped file, or blocks of a store."""

    @property
    def shape(self) -> torch.Size: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> Tensor: ...


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and population covariance (d, d) of codes over all ranks, in float64."""

    count: float
    mean: Tensor
    covariance: Tensor

    @property
    def scale(self) -> float:
        """Mean variance of a coordinate; penalties are best given relative to it."""
        return float(self.covariance.diagonal().mean())

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (d,), ascending and ≥ 0, and eigenvectors (d, d) in columns."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return values.clamp_min(0), vectors


def moments(codes: Rows, *, device: torch.device | None = None, reduce: Reduce = alone) -> Moments:
    """Moments of codes (N, d), this rank's rows; N may be 0. Products and sums in float64 on ``device``."""
    dim = codes.shape[1]
    total = torch.zeros(dim + 1, dim, dtype=torch.float64, device=device or codes.device)
    for rows in chunks(codes):
        part = codes[rows].to(total.device, torch.float64)
        total[0] += part.sum(0)
        total[1:].addmm_(part.mT, part)
    count = float(reduce(total.new_tensor([len(codes)])))
    total = reduce(total) / count
    return Moments(count, total[0], total[1:] - total[0].outer(total[0]))


def chunks(codes: Rows) -> list[slice]:
    """Slices of rows, few enough not to need much memory and many enough to fill a device."""
    rows = 2**16 if codes.device.type == "cuda" else 2**13
    return [slice(start, min(start + rows, len(codes))) for start in range(0, len(codes), rows)]
