"""MobileStyleGAN (Belousov 2021, arXiv 2104.04767): FFHQ faces at 1024², distilled from StyleGAN2-FFHQ.

Its layers are in :mod:`ifgan_pl.generators.mobile_layers`.
"""

import logging
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import check_codes, check_resolution, parameter_digest
from ifgan_pl.generators.mobile_layers import (
    SLOPE,
    Block,
    FirstConv,
    ModulatedPointwise,
    PreviewHead,
    SeparableConv,
    in_strips,
    inverse_haar,
)
from ifgan_pl.generators.truncation import truncate

CHANNELS = (512, 512, 512, 512, 256, 128, 64)
"""Hidden channels at 8, 16, …, 512 pixels."""
NUM_WS = 16
"""Rows of a W+ code."""
PREVIEW_BLOCK = 4
"""The block that reads the 64² hidden layer; from here on blocks are computed in strips."""
log = logging.getLogger(__name__)


class MobileStyleGAN(nn.Module):
    """``ffhq-mobile``: Z, W and W+ of StyleGAN2-FFHQ (the first 16 of its 18 styles), images of 1024 × 1024.

    Styles: the 4² convolution reads row 0 of W+; block i (8 · 2^i pixels, i = 0…6) reads row 1 + 2i for its transform
    and first convolution, row 2 + 2i for its second; the image head reads row 15. An (N, 18, 512) code of
    StyleGAN2-FFHQ is accepted and its last two rows, of layers that this generator lacks, are not used.

    ``synthesis(w, resolution=128)`` is the preview: a small trained head on the 64² hidden layer, for scoring.
    """

    z_dim = w_dim = 512
    c_dim = 0
    num_ws = NUM_WS
    img_resolution = 1024
    img_channels = 3
    spaces: tuple[str, ...] = ("z", "w", "w+")
    name = "ffhq-mobile"
    family = "stylegan2-ffhq"
    w_mean: Tensor

    def __init__(self, *, preview: bool = True) -> None:
        super().__init__()
        self.resolutions: tuple[int, ...] = (128, 1024) if preview else (1024,)
        self.register_buffer("w_mean", torch.zeros(512))
        self.mapping_layers = nn.ModuleList(nn.Linear(512, 512) for _ in range(8))
        self.const = nn.Parameter(torch.zeros(1, 512, 4, 4))
        self.first = FirstConv()
        inputs = (512, *CHANNELS[:-1])
        self.blocks = nn.ModuleList(Block(i, o, 8 << k) for k, (i, o) in enumerate(zip(inputs, CHANNELS, strict=True)))
        self.to_img = ModulatedPointwise(CHANNELS[-1], 12)
        self.preview = PreviewHead() if preview else None
        self.fingerprint = ""

    def strips(self, resolution: int | None) -> Sequence[nn.Module]:
        """The blocks that a CPU computes in strips of rows; of interest to :mod:`ifgan_pl.generators.compiled`."""
        return () if resolution == 128 else list(self.blocks)[PREVIEW_BLOCK:]

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Z to W (Karras 2019, sec. 2): (N, 512) -> (N, 512), before truncation; ``c`` must be ``None``."""
        if c is not None:
            raise ValueError("ffhq-mobile is unconditional: c must be None")
        check_codes(z, dim=512, num_ws=1, name=self.name)
        x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.mapping_layers:
            x = F.leaky_relu(layer(x), SLOPE) * 2**0.5
        return x

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """``w_mean + psi (w - w_mean)``; see :func:`ifgan_pl.generators.truncation.truncate`."""
        return truncate(w, self.w_mean, psi, cutoff, self.num_ws)

    def hidden(self, ws: Tensor, blocks: int) -> Tensor:
        """Activations after this many blocks: ws (N, 16, 512) -> (N, H, W, C), H = W = 4 · 2^blocks."""
        x: Tensor = self.first(self.const, ws[:, 0])
        for i in range(blocks):
            x = self._block(i, ws, x)
        return x

    def _block(self, i: int, ws: Tensor, x: Tensor) -> Tensor:
        """Block ``i`` and, behind the last one, the image head: (N, H, W, C) -> (N, 2H, 2W, C'), or the image."""
        block, last = self.blocks[i], i + 1 == len(self.blocks)
        assert isinstance(block, Block)

        def rows(part: Tensor, first: int) -> Tensor:
            pixels = 4 * part.shape[2]  # of the output, for each row of the input
            noise = slice(first * pixels, (first + part.shape[1]) * pixels)
            out: Tensor = block(
                part, ws[:, 1 + 2 * i], ws[:, 2 + 2 * i], block.conv1.noise[noise], block.conv2.noise[noise]
            )
            return inverse_haar(self.to_img(out, ws[:, 15])) if last else out

        return in_strips(rows, x)

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """(N, 512) or (N, 16, 512), truncated -> (N, 3, 1024, 1024), or (N, 3, 128, 128) for ``resolution=128``."""
        resolution = check_resolution(self, resolution)
        if w.ndim == 3 and w.shape[1:] == (18, 512):
            log.warning("ffhq-mobile has 16 styles: the last two rows of an 18-row W+ code are not used")
            w = w[:, :NUM_WS]
        check_codes(w, dim=512, num_ws=NUM_WS, name=self.name)
        w = w.to(self.const.dtype)
        ws = w if w.ndim == 3 else w[:, None].expand(-1, NUM_WS, -1)
        if resolution == 128 and self.preview is not None:
            x = self.hidden(ws, PREVIEW_BLOCK)
            scale: Tensor = self.blocks[PREVIEW_BLOCK].get_submodule("up")(ws[:, 9])
            image: Tensor = self.preview(x, scale, ws[:, 9])
            return image
        last = len(self.blocks) - 1
        return self._block(last, ws, self.hidden(ws, last)).permute(0, 3, 1, 2)

    def load_weights(self, weights: Mapping[str, Tensor]) -> "MobileStyleGAN":
        """Take a whole state dict, freeze, fingerprint; returns the module itself.

        Args:
            weights: of :func:`ifgan_pl.generators.mobile_weights.read_weights`, with ``w_mean`` and, if this instance
                has a preview head, ``preview.*``.
        """
        self.load_state_dict(dict(weights), strict=True)
        for module in self.modules():
            if isinstance(module, SeparableConv):
                module.taps.copy_(module.depthwise.detach().reshape(-1, 9).T)
        self.requires_grad_(False).eval()
        self.fingerprint = parameter_digest(self)
        return self
