"""PGGAN (Karras et al. 2018, arXiv 1710.10196) in plain PyTorch: Z only."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import check_channels, check_codes, check_resolution
from ifgan_pl.generators.mapping import normalise


class EqualConv(nn.Module):
    """A convolution with equalised learning rate (section 4.1), behind nearest-neighbour upsampling by 2 if ``up``.

    Args:
        in_channels, out_channels, kernel: of the weights.
        padding: zeros around the input.
        up: upsample first. Nearest neighbours and a 3×3 kernel are one transposed convolution with a 4×4 kernel, the
            sum of the 3×3 kernel at its four positions; the stored weights are in the orientation of that one.
        gain: √2 before a leaky ReLU, 1 before none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        padding: int = 1,
        up: bool = False,
        gain: float = math.sqrt(2),
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, kernel, kernel))
        self.gain, self.padding, self.up = gain / math.sqrt(in_channels * kernel**2), padding, up

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W), (out_channels,) -> (N, out_channels, H', W')."""
        weight = self.weight * self.gain
        if not self.up:
            return F.conv2d(x, weight, bias, padding=self.padding)
        wide = F.pad(weight, (1, 1, 1, 1))
        wide = wide[:, :, 1:, 1:] + wide[:, :, :-1, 1:] + wide[:, :, 1:, :-1] + wide[:, :, :-1, :-1]
        return F.conv_transpose2d(x, wide.transpose(0, 1), bias, stride=2, padding=1)


class Layer(nn.Module):
    """Pixelwise normalisation, convolution, bias, leaky ReLU 0.2 (section 4.2); the last one stays linear."""

    def __init__(self, conv: EqualConv, *, linear: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.bias = nn.Parameter(torch.zeros(conv.weight.shape[0]))
        self.slope = 1.0 if linear else 0.2

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return F.leaky_relu(self.conv(normalise(x), self.bias), self.slope, inplace=True)


class PGGAN(nn.Module):
    """The PGGAN generator; see :class:`ifgan_pl.generators.base.Generator` for the members of the protocol.

    It normalises z to length √z_dim, so only the direction of z counts. Weights come from
    :func:`ifgan_pl.generators.checkpoints.formats.load_file`; a new instance has zeros.

    Args:
        img_resolution: side of the image, a power of 2 from 8.
        channels: channels of each resolution from 4 px.
        img_channels, z_dim: as in the protocol.
    """

    w_mean = None
    c_dim = 0
    num_ws = 1
    spaces: tuple[str, ...] = ("z",)

    def __init__(
        self, *, img_resolution: int, channels: Sequence[int], img_channels: int = 3, z_dim: int = 512
    ) -> None:
        super().__init__()
        check_channels(channels, img_resolution)
        self.config = {
            "img_resolution": img_resolution,
            "channels": list(channels),
            "img_channels": img_channels,
            "z_dim": z_dim,
        }
        self.name = self.family = "pggan"
        self.fingerprint = ""
        self.z_dim = self.w_dim = z_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.resolutions: tuple[int, ...] = (img_resolution,)
        self.layers = nn.ModuleList()
        for i, width in enumerate(channels):
            first = EqualConv(channels[i - 1], width, up=True) if i else EqualConv(z_dim, width, 4, padding=3)
            self.layers += [Layer(first), Layer(EqualConv(width, width))]
        self.torgb = Layer(EqualConv(channels[-1], img_channels, 1, padding=0, gain=1.0), linear=True)

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """This family has no W."""
        raise ValueError(f"{self.name} has no W space: it synthesises from z")

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Only psi = 1: there is no mean code to move towards."""
        if psi != 1 or cutoff is not None:
            raise ValueError(f"{self.name} has no W space and so no truncation: psi must be 1, got {psi}")
        return w

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """z (N, z_dim) -> images (N, img_channels, H, W) in [-1, 1], may overshoot."""
        check_codes(w, dim=self.z_dim, num_ws=1, name=self.name)
        check_resolution(self, resolution)
        x = w.reshape(len(w), -1, 1, 1).to(self.torgb.bias.dtype)
        for layer in self.layers:
            x = layer(x)
        image: Tensor = self.torgb(x)
        return image
