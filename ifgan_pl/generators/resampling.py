"""Low-pass filters, and up- and downsampling by them, as StyleGAN3 does it (Karras et al. 2021, arXiv 2106.12423)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def lowpass(taps: int, *, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor | None:
    """Kaiser low-pass of Karras 2021, appendix C.1: (taps,), or (taps, taps) if radial; ``None`` for one tap.

    Args:
        taps: length.
        cutoff, width: cutoff frequency and width of the transition band, in the units of ``rate``.
        rate: sampling rate.
        radial: a radially symmetric jinc instead of a separable sinc (StyleGAN3-R).
    """
    if taps == 1:
        return None
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95  # dB; Kaiser's formulas
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0
    window = np.kaiser(taps, beta)
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        r = torch.from_numpy(np.hypot(*np.meshgrid(x, x)))
        taps_2d = (torch.special.bessel_j1(2 * cutoff * math.pi * r) / (math.pi * r)).numpy() * np.outer(window, window)
        return torch.from_numpy(taps_2d / taps_2d.sum()).float()
    filter_ = np.sinc(2 * cutoff * x) * window
    return torch.from_numpy(filter_ / filter_.sum()).float()


def _crop(x: Tensor, before: int, length: int, dim: int) -> Tensor:
    """``length`` samples of a dimension from ``before`` on, zeros outside."""
    pad = [0, 0] * (x.ndim - 1 - dim) + [-before, before + length - x.shape[dim]]
    return F.pad(x, pad) if any(pad) else x


def upsample(x: Tensor, fir: Tensor | None, factor: int, padding: tuple[int, int]) -> Tensor:
    """Insert ``factor`` - 1 zeros behind each sample, pad or crop, filter with gain ``factor``² (separably).

    Args:
        x: (N, C, H, W).
        fir: (taps,); ``None``: no filter and ``factor`` 1.
        padding: samples added before and behind, at the higher rate; negative crops.

    Returns:
        (N, C, H', W'), H' = factor·H + sum(padding) - (taps - 1).
    """
    if fir is None:
        return _crop(_crop(x, -padding[0], x.shape[2] + sum(padding), 2), -padding[0], x.shape[3] + sum(padding), 3)
    channels, taps = x.shape[1], fir.shape[0]
    kernel = (fir * factor).to(x.dtype)
    for dim, shape in ((2, (taps, 1)), (3, (1, taps))):
        length = factor * x.shape[dim] + sum(padding) - (taps - 1)
        stride = (factor, 1) if dim == 2 else (1, factor)
        x = F.conv_transpose2d(
            x, kernel.reshape(1, 1, *shape).expand(channels, 1, -1, -1), None, stride, groups=channels
        )
        x = _crop(x, taps - 1 - padding[0], length, dim)
    return x


def downsample(x: Tensor, fir: Tensor | None, factor: int) -> Tensor:
    """Filter and keep every ``factor``-th sample: (N, C, H, W) -> (N, C, ceil((H - taps + 1) / factor), ...)."""
    if fir is None:
        return x
    channels, kernel = x.shape[1], fir.flip(tuple(range(fir.ndim))).to(x.dtype)
    if fir.ndim == 2:
        return F.conv2d(x, kernel.expand(channels, 1, -1, -1), stride=factor, groups=channels)
    x = F.conv2d(x, kernel[:, None].expand(channels, 1, -1, -1), stride=(factor, 1), groups=channels)
    return F.conv2d(x, kernel.expand(channels, 1, 1, -1), stride=(1, factor), groups=channels)
