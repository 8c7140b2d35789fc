"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958) as stylegan2-ada-pytorch and stylegan3 run it, in plain PyTorch."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import check_channels, check_codes, check_resolution
from ifgan_pl.generators.mapping import Dense, MappingNetwork, styles
from ifgan_pl.generators.truncation import truncate


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    bias: Tensor | None = None,
    *,
    gain: float | Tensor = 1.0,
    fir: Tensor | None = None,
    padding: int = 1,
) -> Tensor:
    """A convolution whose weights are scaled by a style and normalised to unit norm (Karras 2020, section 2.2).

    Style and norm may scale the weights or the activations, with one result: whichever are fewer numbers are scaled.
    A large image then costs no pass over it, and for a small one the batch keeps one set of weights.

    Args:
        x: (N, I, H, W), float32, float64, float16 or bfloat16; computed in this dtype.
        weight: (O, I, k, k).
        style: (N, I).
        bias: (O,), added last.
        gain: factor of the convolution, not of the bias.
        fir: (t, t) low-pass of unit sum: upsample by 2 with it (a transposed convolution, then the filter).
        padding: zeros around x; not used when upsampling.

    Returns:
        (N, O, H', W'); H' = 2H when upsampling (k = 3, t = 4).
    """
    _, channels, height, width = x.shape
    if x.dtype == torch.float16:  # against overflow; the norm cancels both factors
        weight = weight / weight.abs().amax(dim=(1, 2, 3), keepdim=True) / math.sqrt(weight[0].numel())
        style = style / style.abs().amax(dim=1, keepdim=True)
    norm = (style.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt() * gain  # (N, O)
    outputs = weight.shape[0] * height * width * (4 if fir is not None else 1)
    if weight.numel() < channels * height * width + outputs:
        scaled = weight * style[:, None, :, None, None] * norm[:, :, None, None, None]  # (N, O, I, k, k)
        return per_sample_conv2d(x, scaled, bias, fir=fir, padding=padding)
    x = x * style.to(x.dtype)[:, :, None, None]
    if fir is None:
        x = F.conv2d(x, weight.to(x.dtype), padding=padding)
    else:
        x = _filter(F.conv_transpose2d(x, weight.to(x.dtype).transpose(0, 1), stride=2), fir, None)
    x = x.mul_(norm.to(x.dtype)[:, :, None, None])
    return x if bias is None else x.add_(bias.to(x.dtype)[:, None, None])


def per_sample_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, fir: Tensor | None = None, padding: int = 0
) -> Tensor:
    """(N, I, H, W) with its own weights (N, O, I, k, k) for each sample, as one grouped convolution."""
    batch, outputs, channels = weight.shape[:3]
    x, weight = x.reshape(1, batch * channels, *x.shape[2:]), weight.to(x.dtype)
    if fir is None:
        biases = None if bias is None else bias.to(x.dtype).repeat(batch)
        x = F.conv2d(x, weight.flatten(0, 1), biases, padding=padding, groups=batch)
        return x.reshape(batch, outputs, *x.shape[2:])
    x = F.conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)
    return _filter(x.reshape(batch, outputs, *x.shape[2:]), fir, bias)


def _filter(x: Tensor, fir: Tensor, bias: Tensor | None) -> Tensor:
    """Low-pass behind a transposed convolution of stride 2: (N, C, 2H + 1, 2W + 1) -> (N, C, 2H, 2W)."""
    kernel = (4 * fir.flip(0, 1)).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, kernel, None if bias is None else bias.to(x.dtype), padding=1, groups=x.shape[1])


def _upsample(x: Tensor, fir: Tensor) -> Tensor:
    """Twice the resolution with a low-pass: (N, C, H, W) -> (N, C, 2H, 2W)."""
    kernel = (4 * fir).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class StyledConv(nn.Module):
    """Modulated 3×3 convolution, noise, bias, √2 leaky ReLU 0.2, clamp."""

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, resolution: int, *, noise: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.affine = Dense(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.register_buffer("noise", torch.zeros(resolution, resolution) if noise else None)
        self.noise: Tensor | None
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor, fir: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W), (N, w_dim) -> (N, out_channels, H or 2H, W or 2W)."""
        gain = math.sqrt(2)  # of the leaky ReLU, taken before it: √2 lrelu(a) = lrelu(√2 a)
        x = modulated_conv2d(x, self.weight, self.affine(w), self.bias * gain, gain=gain, fir=fir)
        if self.noise is not None and self.noise_strength is not None:
            x = x.add_((self.noise * (self.noise_strength * gain)).to(x.dtype))
        x = F.leaky_relu(x, 0.2, inplace=True)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution without normalisation, bias, clamp."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, clamp: float | None) -> None:
        super().__init__()
        self.affine = Dense(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in_channels, H, W), (N, w_dim) -> (N, out_channels, H, W)."""
        style = self.affine(w) / math.sqrt(x.shape[1])
        x = per_sample_conv2d(x, self.weight * style[:, None, :, None, None], self.bias)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """The layers of one resolution; the first has no upsampling convolution."""

    def __init__(
        self, in_channels: int | None, channels: int, w_dim: int, resolution: int, rgb: int, **layer: Any
    ) -> None:
        super().__init__()
        self.conv0 = StyledConv(in_channels, channels, w_dim, resolution, **layer) if in_channels else None
        self.conv1 = StyledConv(channels, channels, w_dim, resolution, **layer)
        self.torgb = ToRGB(channels, rgb, w_dim, clamp=layer["clamp"]) if rgb else None

    def forward(
        self, x: Tensor, image: Tensor | None, ws: Iterator[Tensor], fir: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Features and the image so far -> those of this resolution. ``ws``: W of conv0, conv1 and torgb."""
        if self.conv0 is not None:
            x = self.conv0(x, next(ws), fir)
        x = self.conv1(x, next(ws))
        if image is not None:
            image = _upsample(image, fir)
        if self.torgb is not None:
            rgb = self.torgb(x, next(ws)).to(fir.dtype)
            image = rgb if image is None else image + rgb
        return x, image


class StyleGAN2(nn.Module):
    """The StyleGAN2 generator; see :class:`ifgan_pl.generators.base.Generator` for the members of the protocol.

    Weights come from :func:`ifgan_pl.generators.checkpoints.formats.load_file`; a new instance has zeros.

    Args:
        img_resolution: side of the image, a power of 2 from 8.
        channels: channels of each resolution from 4 px, e.g. (512, 512, 512, 512, 512, 256, 128, 64, 32) at 1024 px.
        img_channels, z_dim, c_dim, w_dim: as in the protocol.
        mapping_layers, mapping_dim, embed_dim, lr_multiplier: of the mapping network.
        architecture: ``skip`` (an image at every resolution, summed) or ``orig`` (one at the last).
        resample_filter: the four taps of the low-pass.
        noise: whether layers add their fixed noise.
        clamp: bound of the activations; ``None``: none.
        half_resolutions: how many of the highest resolutions run in ``half_dtype``, as NVIDIA's ``num_fp16_res``; only
            on a GPU and with float32 weights.
    """

    half_dtype = torch.float16
    """What ``half_resolutions`` run in; set it to ``torch.bfloat16``, or ``half_resolutions`` to 0 for float32."""

    def __init__(
        self,
        *,
        img_resolution: int,
        channels: Sequence[int],
        img_channels: int = 3,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 8,
        mapping_dim: int | None = None,
        embed_dim: int | None = None,
        lr_multiplier: float = 0.01,
        architecture: str = "skip",
        resample_filter: Sequence[float] = (1, 3, 3, 1),
        noise: bool = True,
        clamp: float | None = None,
        half_resolutions: int = 0,
    ) -> None:
        config = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        check_channels(channels, img_resolution)
        if architecture not in ("skip", "orig") or len(resample_filter) != 4:
            raise ValueError(f"architecture {architecture!r} with the low-pass {resample_filter!r} is not implemented")
        self.config: dict[str, Any] = config
        self.name = self.family = "stylegan2"
        self.fingerprint = ""
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.num_ws = 2 * len(channels)
        self.spaces: tuple[str, ...] = ("z", "w", "w+")
        self.half_resolutions = half_resolutions
        sides = tuple(4 * 2**i for i in range(len(channels)))
        self.resolutions: tuple[int, ...] = sides if architecture == "skip" else sides[-1:]
        self.mapping_network = MappingNetwork(
            z_dim=z_dim,
            c_dim=c_dim,
            w_dim=w_dim,
            num_layers=mapping_layers,
            hidden_dim=mapping_dim,
            embed_dim=embed_dim,
            lr_multiplier=lr_multiplier,
        )
        self.const = nn.Parameter(torch.zeros(channels[0], 4, 4))
        self.blocks = nn.ModuleList()
        for i, width in enumerate(channels):
            rgb = img_channels if architecture == "skip" or i == len(channels) - 1 else 0
            before = channels[i - 1] if i else None
            self.blocks.append(Block(before, width, w_dim, 4 * 2**i, rgb, noise=noise, clamp=clamp))
        taps = [tap / sum(resample_filter) for tap in resample_filter]
        self.register_buffer("fir", torch.tensor([[a * b for a in taps] for b in taps]))
        self.register_buffer("w_mean", torch.zeros(w_dim))
        self.fir: Tensor
        self.w_mean: Tensor

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Z (N, z_dim), labels (N, c_dim) of a conditional network -> W (N, w_dim), before truncation."""
        w: Tensor = self.mapping_network(z, c)
        return w

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Towards the mean code; see :func:`ifgan_pl.generators.base.truncate`."""
        return truncate(w, self.w_mean, psi, cutoff, self.num_ws)

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """W (N, w_dim) or W+ (N, num_ws, w_dim) -> images (N, img_channels, H, W) in [-1, 1], may overshoot.

        Args:
            w: truncated codes.
            resolution: side of the image, one of ``resolutions``; the layers beyond it are not run.
        """
        check_codes(w, dim=self.w_dim, num_ws=self.num_ws, name=self.name)
        resolution = check_resolution(self, resolution)
        codes = styles(w.to(self.const.dtype), self.num_ws)
        x, image = self.const.expand(w.shape[0], -1, -1, -1), None
        first = 0
        for i, block in enumerate(self.blocks[: int(math.log2(resolution)) - 1]):
            x = x.to(self._dtype(4 * 2**i))
            x, image = block(x, image, iter(codes[first : first + 3]), self.fir)
            first += 1 if block.conv0 is None else 2  # a block's torgb and the next conv0 share a code
        assert isinstance(image, Tensor)
        return image

    def _dtype(self, resolution: int) -> torch.dtype:
        """The dtype in which the layers of a resolution run."""
        threshold = max(2 * self.img_resolution // 2**self.half_resolutions, 8)
        if self.const.dtype == torch.float32 and self.const.device.type != "cpu" and resolution >= threshold:
            return self.half_dtype
        return self.const.dtype
