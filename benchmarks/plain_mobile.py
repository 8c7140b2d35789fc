"""``ffhq-mobile`` as one writes it down from its paper, to compare with: channels first, an operation a line.

Modulation scales the image, noise and bias are added, the inverse Haar transform is a transposed convolution: the
identities of :mod:`ifgan_pl.generators.mobile` are left out. Weights are that module's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.mobile_layers import SLOPE, ModulatedPointwise, SeparableConv

HAAR = torch.tensor([[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]], dtype=torch.float32)
"""(4, 2, 2): low, vertical, horizontal and diagonal detail."""


def synthesis(generator: MobileStyleGAN, w: Tensor) -> Tensor:
    """(N, 512), truncated -> (N, 3, 1024, 1024): what ``generator.synthesis`` gives, to rounding."""
    first = generator.first
    x = F.conv2d(generator.const * first.style(w)[:, :, None, None], first.weight, padding=1)
    x = F.leaky_relu(x + first.noise + first.bias[:, None, None], SLOPE)
    for block in generator.blocks:
        up, conv1, conv2 = (block.get_submodule(name) for name in ("up", "conv1", "conv2"))
        x = inverse_haar(x * up(w)[:, :, None, None])
        for conv in (conv1, conv2):
            assert isinstance(conv, SeparableConv)
            x = F.leaky_relu(separable(conv, x, w), SLOPE)
    return inverse_haar(pointwise(generator.to_img, x, w))


def separable(conv: SeparableConv, x: Tensor, w: Tensor) -> Tensor:
    """Modulated separable convolution with noise."""
    assert conv.noise is not None
    x = F.conv2d(x, conv.depthwise, padding=1, groups=x.shape[1])
    return pointwise(conv.pointwise, x, w) + conv.noise.view(x.shape[2:])


def pointwise(conv: ModulatedPointwise, x: Tensor, w: Tensor) -> Tensor:
    """Modulated 1 × 1 convolution."""
    x = F.conv2d(x * conv.style(w)[:, :, None, None], conv.weight[:, :, None, None])
    return x + conv.bias[:, None, None]


def inverse_haar(x: Tensor) -> Tensor:
    """(N, 4C, H, W), four groups of channels -> (N, C, 2H, 2W)."""
    n, channels, height, width = x.shape
    bands = x.view(n, 4, channels // 4, height, width).transpose(1, 2).reshape(-1, 4, height, width)
    kernel = HAAR[:, None].to(x)
    return F.conv_transpose2d(bands, kernel, stride=2).view(n, channels // 4, 2 * height, 2 * width)


def check(generator: MobileStyleGAN, w: Tensor) -> None:
    """The two must give the same images."""
    difference = float((synthesis(generator, w) - generator.synthesis(w)).abs().max())
    if difference > 1e-3:
        raise SystemExit(f"the plain network differs from the package's by {difference:.2g}")
