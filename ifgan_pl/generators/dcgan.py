"""DCGAN (Radford 2016, arXiv 1511.06434) at 64², trained on DigiFace-1M: small, fast, Z only."""

import io
from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import check_codes, check_resolution, parameter_digest

WIDTHS = (512, 256, 128, 64)
"""Channels of the hidden layers, at 4, 8, 16 and 32 pixels."""
FILES = {"weights": "gan_face_generate/weights.tar"}
"""The file of the wheel that :func:`read_weights` reads: a short name to a member of the archive."""


class DCGAN(nn.Module):
    """``digiface-dcgan``: z (N, 100) -> images (N, 3, 64, 64); no W, no truncation.

    Batch normalisation uses the running statistics, folded into the transposed convolutions.
    """

    z_dim = w_dim = 100
    c_dim = 0
    num_ws = 1
    img_resolution = 64
    img_channels = 3
    resolutions: tuple[int, ...] = (64,)
    spaces: tuple[str, ...] = ("z",)
    name = "digiface-dcgan"
    family = "digiface-dcgan"
    w_mean = None

    def __init__(self) -> None:
        super().__init__()
        channels = (100, *WIDTHS, 3)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 4, stride=1 if k == 0 else 2, padding=0 if k == 0 else 1)
            for k, (i, o) in enumerate(pairwise(channels))
        )
        self.fingerprint = ""

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """This family has no W."""
        raise ValueError("digiface-dcgan has no W space: it synthesises from z")

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Only psi = 1: there is no mean code to move towards."""
        if psi != 1 or cutoff is not None:
            raise ValueError(f"digiface-dcgan has no W space and so no truncation: psi must be 1, got {psi}")
        return w

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """z (N, 100) -> (N, 3, 64, 64) in [-1, 1]."""
        check_resolution(self, resolution)
        check_codes(w, dim=100, num_ws=1, name=self.name)
        x = w[:, :, None, None].to(next(self.parameters()).dtype)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return torch.tanh(self.layers[-1](x))

    def load_weights(self, weights: Mapping[str, Tensor]) -> "DCGAN":
        """Take the weights of :func:`read_weights`, freeze, fingerprint; returns the module itself."""
        self.load_state_dict(dict(weights), strict=True)
        self.requires_grad_(False).eval()
        self.fingerprint = parameter_digest(self)
        return self


def read_weights(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The state dict of :class:`DCGAN` from the published checkpoint; batch normalisation is folded in, in float64.

    Args:
        files: the bytes of :data:`FILES`, by short name.
    """
    source = torch.load(io.BytesIO(files["weights"]), map_location="cpu", weights_only=True)["netG_state_dict"]
    state = {}
    for layer in range(len(WIDTHS) + 1):
        weight, bias = source[f"main.{3 * layer}.weight"].double(), torch.zeros(3).double()
        if layer < len(WIDTHS):
            norm = {
                k: source[f"main.{3 * layer + 1}.{k}"].double()
                for k in ("weight", "bias", "running_mean", "running_var")
            }
            gain = norm["weight"] / torch.sqrt(norm["running_var"] + 1e-5)
            weight, bias = weight * gain[:, None, None], norm["bias"] - norm["running_mean"] * gain
        state[f"layers.{layer}.weight"], state[f"layers.{layer}.bias"] = weight.float(), bias.float()
    return state
