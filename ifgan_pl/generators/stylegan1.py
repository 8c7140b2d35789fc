"""StyleGAN (Karras et al. 2019, arXiv 1812.04948) in plain PyTorch."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import check_channels, check_codes, check_resolution
from ifgan_pl.generators.mapping import Dense, MappingNetwork, styles
from ifgan_pl.generators.pggan import EqualConv
from ifgan_pl.generators.truncation import truncate


class Layer(nn.Module):
    """Convolution (the first layer has none), noise, bias, leaky ReLU 0.2, then AdaIN: instance normalisation with
    scale and shift from w (section 2)."""

    def __init__(self, conv: EqualConv | None, channels: int, w_dim: int, resolution: int) -> None:
        super().__init__()
        self.conv = conv
        self.bias = nn.Parameter(torch.zeros(channels))
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.zeros(resolution, resolution))
        self.noise: Tensor
        self.style = Dense(w_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor, blur: Tensor) -> Tensor:
        """(N, C, H, W), (N, w_dim), (3, 3) low-pass behind upsampling -> (N, C', H', W')."""
        if self.conv is not None:
            x = self.conv(x)
            if self.conv.up:
                x = F.conv2d(x, blur.expand(x.shape[1], 1, -1, -1), padding=1, groups=x.shape[1])
        x = F.leaky_relu(x + (self.noise * self.noise_strength[:, None, None] + self.bias[:, None, None]), 0.2)
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        scale = (scale + 1) * (variance + 1e-8).rsqrt()
        result: Tensor = x * scale + (shift - mean * scale)
        return result


class StyleGAN1(nn.Module):
    """The StyleGAN generator; see :class:`ifgan_pl.generators.base.Generator` for the members of the protocol.

    Weights come from :func:`ifgan_pl.generators.checkpoints.formats.load_file`; a new instance has zeros.

    Args:
        img_resolution: side of the image, a power of 2 from 8.
        channels: channels of each resolution from 4 px, e.g. (512, 512, 512, 512, 256, 128, 64, 32, 16) at 1024 px.
        img_channels, z_dim, w_dim: as in the protocol.
        mapping_layers, mapping_dim: of the mapping network.
    """

    c_dim = 0
    spaces: tuple[str, ...] = ("z", "w", "w+")

    def __init__(
        self,
        *,
        img_resolution: int,
        channels: Sequence[int],
        img_channels: int = 3,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        mapping_dim: int | None = None,
    ) -> None:
        config = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        check_channels(channels, img_resolution)
        self.config: dict[str, Any] = config
        self.name = self.family = "stylegan1"
        self.fingerprint = ""
        self.z_dim, self.w_dim, self.num_ws = z_dim, w_dim, 2 * len(channels)
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.resolutions: tuple[int, ...] = (img_resolution,)
        self.mapping_network = MappingNetwork(
            z_dim=z_dim, c_dim=0, w_dim=w_dim, num_layers=mapping_layers, hidden_dim=mapping_dim, gain_bias=False
        )
        self.const = nn.Parameter(torch.ones(channels[0], 4, 4))
        self.layers = nn.ModuleList()
        for i, width in enumerate(channels):
            first = EqualConv(channels[i - 1], width, up=True) if i else None
            for conv in (first, EqualConv(width, width)):
                self.layers.append(Layer(conv, width, w_dim, 4 * 2**i))
        self.torgb = EqualConv(channels[-1], img_channels, 1, padding=0, gain=1.0)
        self.torgb_bias = nn.Parameter(torch.zeros(img_channels))
        self.register_buffer("blur", torch.tensor([[a * b / 16 for a in (1, 2, 1)] for b in (1, 2, 1)]))
        self.register_buffer("w_mean", torch.zeros(w_dim))
        self.blur: Tensor
        self.w_mean: Tensor

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Z (N, z_dim) -> W (N, w_dim), before truncation; ``c`` must be ``None``."""
        w: Tensor = self.mapping_network(z, c)
        return w

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Towards the mean code; see :func:`ifgan_pl.generators.base.truncate`. The original has psi .7, cutoff 8."""
        return truncate(w, self.w_mean, psi, cutoff, self.num_ws)

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """W (N, w_dim) or W+ (N, num_ws, w_dim) -> images (N, img_channels, H, W) in [-1, 1], may overshoot."""
        check_codes(w, dim=self.w_dim, num_ws=self.num_ws, name=self.name)
        check_resolution(self, resolution)
        x = self.const.expand(len(w), -1, -1, -1)
        for layer, code in zip(self.layers, styles(w.to(self.const.dtype), self.num_ws), strict=True):
            x = layer(x, code, self.blur)
        image: Tensor = self.torgb(x, self.torgb_bias)
        return image
