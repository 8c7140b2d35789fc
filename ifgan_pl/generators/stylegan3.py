"""StyleGAN3-T and -R (Karras et al. 2021, arXiv 2106.12423) in plain PyTorch."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import check_codes, check_resolution
from ifgan_pl.generators.mapping import Dense, MappingNetwork, styles
from ifgan_pl.generators.resampling import downsample, lowpass, upsample
from ifgan_pl.generators.stylegan2 import modulated_conv2d, per_sample_conv2d
from ifgan_pl.generators.truncation import truncate


@dataclass(frozen=True)
class Signal:
    """How a feature map samples its band-limited signal (section 3.1).

    Attributes:
        channels: of the feature map.
        size: its side in samples, the margin around the image included.
        rate: samples over the side of the image.
        cutoff, half_width: cutoff frequency and half the width of the transition band, in the units of ``rate``.
    """

    channels: int
    size: int
    rate: int
    cutoff: float
    half_width: float


def layer_signals(
    *,
    img_resolution: int,
    img_channels: int,
    num_layers: int,
    num_critical: int,
    first_cutoff: float,
    first_stopband: float,
    last_stopband_rel: float,
    channel_base: float,
    channel_max: float,
    margin_size: int,
) -> list[Signal]:
    """What each of the ``num_layers + 1`` layers gives; the Fourier features are sampled as the first of them.

    The arguments are those of :class:`StyleGAN3`. Cutoffs and stopbands are geometric progressions (section 3.2).
    """
    last_cutoff = img_resolution / 2
    exponents = np.minimum(np.arange(num_layers + 1) / (num_layers - num_critical), 1)
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    stopbands = first_stopband * (last_cutoff * last_stopband_rel / first_stopband) ** exponents
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, img_resolution))))
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + margin_size * 2
    sizes[-2:] = img_resolution
    channels = np.rint(np.minimum(channel_base / 2 / cutoffs, channel_max))
    channels[-1] = img_channels
    columns = zip(channels, sizes, rates, cutoffs, half_widths, strict=True)
    return [Signal(int(c), int(size), int(rate), float(f), float(width)) for c, size, rate, f, width in columns]


class FourierInput(nn.Module):
    """Fourier features of a translated and rotated grid, mixed over channels (section 3.2, appendix B)."""

    def __init__(self, w_dim: int, channels: int, *, size: int, rate: float, bandwidth: float) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = size, rate, bandwidth
        self.weight = nn.Parameter(torch.zeros(channels, channels))
        self.affine = Dense(w_dim, 4)
        self.register_buffer("transform", torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]))
        self.register_buffer("freqs", torch.zeros(channels, 2))
        self.register_buffer("phases", torch.zeros(channels))
        self.transform: Tensor
        self.freqs: Tensor
        self.phases: Tensor

    def forward(self, w: Tensor) -> Tensor:
        """(N, w_dim) -> (N, channels, size, size)."""
        t = self.affine(w)
        cos, sin, x, y = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
        # first the rotation, then the translation, then the user's own transform, all inverse: R · T · transform
        matrix = torch.stack([cos, -sin, sin * y - cos * x, sin, cos, -sin * x - cos * y], dim=1).reshape(-1, 2, 3)
        matrix = torch.cat([matrix, matrix.new_tensor([[[0, 0, 1]]]).expand(len(w), -1, -1)], dim=1) @ self.transform
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:]).squeeze(2)  # (N, channels)
        freqs = self.freqs @ matrix[:, :2, :2]  # (N, channels, 2)
        # frequencies that a magnifying transform pushes out of the band fade away
        amplitudes = (1 - (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)).clamp(0, 1)
        grid = (torch.arange(self.size, device=w.device, dtype=w.dtype) + 0.5 - self.size / 2) / self.rate
        waves = (
            freqs[:, :, 0, None, None] * grid + freqs[:, :, 1, None, None] * grid[:, None] + phases[:, :, None, None]
        )
        waves = torch.sin(2 * math.pi * waves) * amplitudes[:, :, None, None]
        return F.conv2d(waves, (self.weight / math.sqrt(self.weight.shape[0]))[:, :, None, None])


class Layer(nn.Module):
    """Modulated convolution, then a leaky ReLU between an up- and a downsampling filter (section 3.2, appendix C)."""

    def __init__(
        self,
        w_dim: int,
        source: Signal,
        target: Signal,
        *,
        kernel: int,
        filter_size: int,
        oversampling: int,
        radial: bool,
        rgb: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.rgb, self.clamp, self.kernel = rgb, clamp, kernel
        self.affine = Dense(w_dim, source.channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.zeros(target.channels, source.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(target.channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.magnitude_ema: Tensor
        high = max(source.rate, target.rate) * (1 if rgb else oversampling)  # the rate at which the leaky ReLU runs
        self.up, self.down = high // source.rate, high // target.rate
        up_taps = filter_size * self.up if self.up > 1 and not rgb else 1
        down_taps = filter_size * self.down if self.down > 1 and not rgb else 1
        self.register_buffer(
            "up_filter", lowpass(up_taps, cutoff=source.cutoff, width=2 * source.half_width, rate=high)
        )
        self.register_buffer(
            "down_filter",
            lowpass(down_taps, cutoff=target.cutoff, width=2 * target.half_width, rate=high, radial=radial),
        )
        self.up_filter: Tensor | None
        self.down_filter: Tensor | None
        total = (target.size - 1) * self.down + 1 - (source.size + kernel - 1) * self.up + up_taps + down_taps - 2
        before = (total + self.up) // 2  # appendix C.3: samples sit in the middle of their pixels
        self.padding = (before, total - before)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, C, in_size, in_size), (N, w_dim) -> (N, C', out_size, out_size)."""
        gain = self.magnitude_ema.rsqrt()
        style = self.affine(w)
        if self.rgb:
            style = style * (gain / math.sqrt(x.shape[1]))
            x = per_sample_conv2d(x, self.weight * style[:, None, :, None, None], self.bias)
        else:
            weight = self.weight * self.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
            x = modulated_conv2d(x, weight, style, self.bias, gain=gain, padding=self.kernel - 1)
        x = upsample(x, self.up_filter, self.up, self.padding)
        if not self.rgb:
            x = F.leaky_relu(x, 0.2) * math.sqrt(2)
        x = x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
        return downsample(x, self.down_filter, self.down)


class StyleGAN3(nn.Module):
    """The StyleGAN3 generator; see :class:`ifgan_pl.generators.base.Generator` for the members of the protocol.

    Weights come from :func:`ifgan_pl.generators.checkpoints.formats.load_file`; a new instance has zeros.

    Args:
        img_resolution: side of the image.
        img_channels, z_dim, c_dim, w_dim: as in the protocol.
        mapping_layers, lr_multiplier: of the mapping network.
        channel_base, channel_max: channels of a layer with cutoff f are min(channel_base / 2f, channel_max).
        num_layers, num_critical: layers between the Fourier features and the image; the last ones are critically
            sampled.
        first_cutoff, first_stopband, last_stopband_rel: the geometric progression of the bands (section 3.1).
        margin_size: pixels around the image at every resolution.
        output_scale: factor of the image.
        conv_kernel: 3 (T) or 1 (R).
        filter_size, lrelu_upsampling: taps of the filters at the lower rate; oversampling of the leaky ReLU.
        use_radial_filters: radially symmetric downsampling (R).
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
        img_channels: int = 3,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 2,
        lr_multiplier: float = 0.01,
        channel_base: float = 32768,
        channel_max: float = 512,
        num_layers: int = 14,
        num_critical: int = 2,
        first_cutoff: float = 2.0,
        first_stopband: float = 2**2.1,
        last_stopband_rel: float = 2**0.3,
        margin_size: int = 10,
        output_scale: float = 0.25,
        conv_kernel: int = 3,
        filter_size: int = 6,
        lrelu_upsampling: int = 2,
        use_radial_filters: bool = False,
        clamp: float | None = 256,
        half_resolutions: int = 4,
    ) -> None:
        config = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        self.config: dict[str, Any] = config
        self.name = self.family = "stylegan3"
        self.fingerprint = ""
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.num_ws = num_layers + 2
        self.spaces: tuple[str, ...] = ("z", "w", "w+")
        self.resolutions: tuple[int, ...] = (img_resolution,)
        self.output_scale, self.half_resolutions = output_scale, half_resolutions
        self.mapping_network = MappingNetwork(
            z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_layers=mapping_layers, lr_multiplier=lr_multiplier
        )
        signals = layer_signals(
            img_resolution=img_resolution,
            img_channels=img_channels,
            num_layers=num_layers,
            num_critical=num_critical,
            first_cutoff=first_cutoff,
            first_stopband=first_stopband,
            last_stopband_rel=last_stopband_rel,
            channel_base=channel_base,
            channel_max=channel_max,
            margin_size=margin_size,
        )
        first = signals[0]
        self.rates = tuple(signal.rate for signal in signals)
        self.input = FourierInput(w_dim, first.channels, size=first.size, rate=first.rate, bandwidth=first.cutoff)
        self.layers = nn.ModuleList()
        for i, (source, target) in enumerate(zip([first, *signals[:-1]], signals, strict=True)):
            rgb = i == num_layers
            layer = Layer(
                w_dim,
                source,
                target,
                kernel=1 if rgb else conv_kernel,
                filter_size=filter_size,
                oversampling=lrelu_upsampling,
                radial=use_radial_filters and i < num_layers - num_critical,
                rgb=rgb,
                clamp=clamp,
            )
            self.layers.append(layer)
        self.register_buffer("w_mean", torch.zeros(w_dim))
        self.w_mean: Tensor

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Z (N, z_dim), labels (N, c_dim) of a conditional network -> W (N, w_dim), before truncation."""
        w: Tensor = self.mapping_network(z, c)
        return w

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Towards the mean code; see :func:`ifgan_pl.generators.base.truncate`."""
        return truncate(w, self.w_mean, psi, cutoff, self.num_ws)

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """W (N, w_dim) or W+ (N, num_ws, w_dim) -> images (N, img_channels, H, W) in [-1, 1], may overshoot."""
        check_codes(w, dim=self.w_dim, num_ws=self.num_ws, name=self.name)
        check_resolution(self, resolution)
        codes = styles(w.to(self.input.weight.dtype), self.num_ws)
        x = self.input(codes[0])
        for layer, rate, code in zip(self.layers, self.rates, codes[1:], strict=True):
            x = layer(x.to(self._dtype(rate)), code)
        image: Tensor = (x * self.output_scale).to(self.input.weight.dtype)
        return image

    def _dtype(self, rate: int) -> torch.dtype:
        """The dtype in which a layer of this sampling rate runs."""
        half = rate * 2**self.half_resolutions > self.img_resolution
        if self.input.weight.dtype == torch.float32 and self.input.weight.device.type != "cpu" and half:
            return self.half_dtype
        return self.input.weight.dtype
