"""The layers of MobileStyleGAN, written so that plain PyTorch computes them fast.

Activations are kept channels-last, (N, H, W, C). Three identities hold to rounding:

- a style scales input channels, so it scales the columns of the pointwise weight instead of the image;
- sub-bands are stored as four contiguous groups (low, vertical, horizontal, diagonal), so that the inverse Haar
  transform is four sums of contiguous vectors; the channels are reordered once, when the weights are converted;
- noise and bias start the accumulator of the matrix product rather than being added after it.

On a CPU the blocks from 128² on are computed in strips of rows: what a strip needs stays in the caches, and cores share
the strips of one image. Under ``torch.compile`` what surrounds a matrix product is written as plain sums instead,
which inductor fuses.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.core.cores import map_on_cores

SLOPE = 0.2
"""Of the leaky ReLUs."""
STRIP = 32
"""Rows of a block's input that a CPU computes at once."""
PREVIEW_CHANNELS = 48
"""Of the preview head."""


class FirstConv(nn.Module):
    """Style-scaled full 3 × 3 convolution of the 4 × 4 constant."""

    noise: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.style = nn.Linear(512, 512)
        self.weight = nn.Parameter(torch.zeros(512, 512, 3, 3))
        self.bias = nn.Parameter(torch.zeros(512))
        self.register_buffer("noise", torch.zeros(4, 4))

    def forward(self, const: Tensor, w: Tensor) -> Tensor:
        """const (1, 512, 4, 4), w (N, 512) -> (N, 4, 4, 512)."""
        x = F.conv2d(const * self.style(w)[:, :, None, None], self.weight, self.bias, padding=1) + self.noise
        return F.leaky_relu(x, SLOPE).permute(0, 2, 3, 1)


class ModulatedPointwise(nn.Module):
    """A 1 × 1 convolution whose input channels are scaled by a style, plus noise and bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.style = nn.Linear(512, inputs)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """x (N, H, W, inputs), w (N, 512), noise (H·W, 1) -> (N, H, W, outputs)."""
        n, height, width, channels = x.shape
        weight = (self.weight * self.style(w)[:, None]).mT  # (N, C_in, C_out)
        x = x.reshape(n, height * width, channels)
        if torch.compiler.is_dynamo_compiling():  # fused with what follows
            x = torch.bmm(x, weight) + (self.bias if noise is None else noise + self.bias)
            return x.view(n, height, width, -1)
        start = self.bias.expand(n, height * width, -1) if noise is None else noise.expand(n, -1, -1) + self.bias
        x = torch.baddbmm(start, x, weight) if noise is None else start.baddbmm_(x, weight)
        return x.view(n, height, width, -1)


class SeparableConv(nn.Module):
    """Depthwise 3 × 3, then modulated 1 × 1 with noise, bias and leaky ReLU.

    Args:
        inputs, outputs: channels.
        resolution: of the fixed ``noise`` (H·W, 1) that the caller passes on, or a part of it; 0: none.
    """

    noise: Tensor
    taps: Tensor

    def __init__(self, inputs: int, outputs: int, resolution: int) -> None:
        super().__init__()
        self.depthwise = nn.Parameter(torch.zeros(inputs, 1, 3, 3))
        self.pointwise = ModulatedPointwise(inputs, outputs)
        self.register_buffer("noise", torch.zeros(resolution * resolution, 1) if resolution else None)
        self.register_buffer("taps", torch.zeros(9, inputs), persistent=False)  # the depthwise kernel, contiguous

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """x (N, H, W, inputs), w (N, 512), noise (H·W, 1) of these pixels -> (N, H, W, outputs)."""
        if torch.compiler.is_dynamo_compiling():  # inductor would copy the image for the library's kernel
            return F.leaky_relu(self.pointwise(shifted_sum(x, self.taps), w, noise), SLOPE)
        x = F.conv2d(x.permute(0, 3, 1, 2), self.depthwise, padding=1, groups=x.shape[3]).permute(0, 2, 3, 1)
        return F.leaky_relu_(self.pointwise(x, w, noise), SLOPE)


class Block(nn.Module):
    """The inverse Haar transform of style-scaled sub-bands, then two separable convolutions."""

    def __init__(self, inputs: int, outputs: int, resolution: int) -> None:
        super().__init__()
        self.up = nn.Linear(512, inputs)
        self.conv1 = SeparableConv(inputs // 4, outputs, resolution)
        self.conv2 = SeparableConv(outputs, outputs, resolution)

    def forward(self, x: Tensor, w1: Tensor, w2: Tensor, noise1: Tensor, noise2: Tensor) -> Tensor:
        """x (N, H, W, inputs), W codes (N, 512) and noise (4·H·W, 1) of each convolution -> (N, 2H, 2W, outputs)."""
        x = inverse_haar(x * self.up(w1)[:, None, None])
        x = self.conv1(x, w1, noise1)
        x = self.conv2(x, w2, noise2)
        return x


class PreviewHead(nn.Module):
    """An image of 128² from the 64² hidden layer, at about a tenth of the cost of the layers before it.

    The 512 channels, both as they are and scaled by the next block's style, are reduced to 48; two residual separable
    convolutions follow, whose pointwise halves are modulated, and the inverse Haar transform of 12 sub-bands.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.Linear(512, PREVIEW_CHANNELS)
        self.reduce_styled = nn.Linear(512, PREVIEW_CHANNELS, bias=False)
        self.convs = nn.ModuleList(SeparableConv(PREVIEW_CHANNELS, PREVIEW_CHANNELS, 0) for _ in range(2))
        self.out = ModulatedPointwise(PREVIEW_CHANNELS, 12)

    def forward(self, x: Tensor, scale: Tensor, w: Tensor) -> Tensor:
        """x (N, H, W, 512), scale (N, 512), w (N, 512) -> (N, 3, 2H, 2W)."""
        n, height, width, channels = x.shape
        weight = (self.reduce.weight + self.reduce_styled.weight * scale[:, None]).mT
        x = torch.baddbmm(self.reduce.bias.expand(n, height * width, -1), x.reshape(n, -1, channels), weight)
        x = F.leaky_relu(x, SLOPE).view(n, height, width, -1)
        for conv in self.convs:
            x = x + conv(x, w)
        return inverse_haar(self.out(x, w)).permute(0, 3, 1, 2)


def in_strips(function: Callable[[Tensor, int], Tensor], x: Tensor) -> Tensor:
    """``function(x, 0)``; on a CPU in strips of :data:`STRIP` rows, which free cores compute side by side.

    Args:
        function: (rows of x, index of the first) -> the same number of output rows for each of them. An output row may
            depend on its input row and the two beside it, as two 3 × 3 convolutions at twice the resolution do.
        x: (N, H, W, C).
    """
    height, need = x.shape[1], STRIP + 2
    if x.device.type != "cpu" or height <= STRIP or torch.compiler.is_dynamo_compiling():
        return function(x, 0)

    def strip(top: int) -> Tensor:
        first = min(max(top - 1, 0), height - need)  # all strips are of one shape, also at the edges
        out = function(x[:, first : first + need], first)
        scale = out.shape[1] // need
        return out[:, (top - first) * scale : (top - first + STRIP) * scale]

    return torch.cat(map_on_cores(strip, range(0, height, STRIP)), dim=1)


def shifted_sum(x: Tensor, taps: Tensor) -> Tensor:
    """Depthwise 3 × 3 convolution as a sum of nine shifted images: (N, H, W, C), taps (9, C) -> (N, H, W, C)."""
    _, height, width, _ = x.shape
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    shifts = ((i, j) for i in range(3) for j in range(3))
    pieces = [padded[:, i : i + height, j : j + width] * tap for (i, j), tap in zip(shifts, taps, strict=True)]
    total: Tensor = sum(pieces[1:], pieces[0])
    return total


def inverse_haar(x: Tensor) -> Tensor:
    """Inverse Haar transform without its factor ½ (folded into the weights before it).

    Args:
        x: (N, H, W, 4C): four contiguous groups of channels, low, vertical, horizontal and diagonal detail.

    Returns:
        (N, 2H, 2W, C).
    """
    n, height, width, channels = x.shape
    low, vertical, horizontal, diagonal = torch.chunk(x, 4, dim=3)
    top, bottom = low + vertical, low - vertical
    right, cross = horizontal + diagonal, horizontal - diagonal
    if (torch.is_grad_enabled() and x.requires_grad) or torch.compiler.is_dynamo_compiling():
        rows = torch.stack((top + right, top - right), 3), torch.stack((bottom + cross, bottom - cross), 3)
        return torch.stack(rows, 2).reshape(n, 2 * height, 2 * width, channels // 4)
    out = x.new_empty(n, height, 2, width, 2, channels // 4)
    torch.add(top, right, out=out[:, :, 0, :, 0])
    torch.sub(top, right, out=out[:, :, 0, :, 1])
    torch.add(bottom, cross, out=out[:, :, 1, :, 0])
    torch.sub(bottom, cross, out=out[:, :, 1, :, 1])
    return out.view(n, 2 * height, 2 * width, channels // 4)
