"""One small generator file for every published format, and what the official code made of the same weights."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file as load_safetensors
from torch import Tensor

from ifgan_pl.generators import load_generator
from ifgan_pl.generators.stylegan2 import StyleGAN2
from ifgan_pl.generators.stylegan3 import StyleGAN3
from tests.generators import files

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, file: str = "small.safetensors") -> dict[str, Tensor]:
    """What the official code gave: w (2, 8) and crop, mean, std of the truncated images."""
    values = load_safetensors(GOLDEN / file)
    return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}


def crop(images: Tensor) -> Tensor:
    """The middle 16 × 16 pixels, or the whole of a smaller image."""
    side = min(images.shape[-1], 16)
    start = (images.shape[-1] - side) // 2
    return images[..., start : start + side, start : start + side]


def _filters(**config: Any) -> list[tuple[Tensor | None, Tensor | None]]:
    """The filters that a StyleGAN3 file carries: designed here, so that the goldens test the design too."""
    layers: Any = StyleGAN3(z_dim=64, w_dim=64, **config).layers
    return [(layer.up_filter, layer.down_filter) for layer in layers]


def stylegan2_ffhq() -> StyleGAN2:
    """ffhq-mobile's mapping network, its scales folded out, in front of a StyleGAN2 of 8 pixels."""
    mobile: Any = load_generator("ffhq-mobile")
    generator = StyleGAN2(img_resolution=8, channels=[4, 4]).requires_grad_(False)
    layers: Any = generator.mapping_network.layers
    for layer, source in zip(layers, mobile.mapping_layers, strict=True):
        layer.weight.copy_(source.weight * math.sqrt(512) / 0.01)
        layer.bias.copy_(source.bias / 0.01)
    return generator


def stylegan2(path: Path) -> Path:
    network = files.nvidia_stylegan2(32, files.channels_of(32, 512, 32), z_dim=64, w_dim=64, layers=3)
    return files.write_nvidia(path.with_suffix(".pkl"), network)


def stylegan2_conditional_clamped(path: Path) -> Path:
    channels = files.channels_of(32, 512, 32)
    network = files.nvidia_stylegan2(32, channels, z_dim=64, c_dim=3, w_dim=64, layers=2, clamp=1.5, half=3)
    return files.write_nvidia(path.with_suffix(".pkl"), network, protocol=3)


def stylegan2_ada(path: Path) -> Path:
    channels = files.channels_of(64, 512, 32)
    network = files.nvidia_stylegan2(64, channels, z_dim=64, w_dim=64, layers=2, clamp=256, half=2)
    return files.write_nvidia(path.with_suffix(".pkl"), network)


def stylegan3_t(path: Path) -> Path:
    shapes = [(36, 32), (36, 32), (52, 32), (52, 27), (52, 16), (32, 16), (32, 3)]
    config: dict[str, Any] = {"channel_base": 512, "channel_max": 32, "num_layers": 6}
    filters = _filters(img_resolution=32, **config)
    network = files.nvidia_stylegan3(32, shapes, z_dim=64, w_dim=64, filters=filters, magnitude_ema_beta=0.99, **config)
    return files.write_nvidia(path.with_suffix(".pkl"), network)


def stylegan3_r_conditional(path: Path) -> Path:
    shapes = [(36, 32), (36, 32), (52, 32), (52, 32), (52, 32), (32, 32), (32, 3)]
    config: dict[str, Any] = {
        "channel_base": 1024,
        "channel_max": 32,
        "num_layers": 6,
        "conv_kernel": 1,
        "use_radial_filters": True,
    }
    filters = _filters(img_resolution=32, **config)
    network = files.nvidia_stylegan3(32, shapes, z_dim=64, c_dim=3, w_dim=64, filters=filters, **config)
    return files.write_nvidia(path.with_suffix(".pkl"), network, protocol=3)


def rosinality(path: Path) -> Path:
    path = path.with_suffix(".pt")
    content = {"g_ema": files.rosinality([512, 512], style_dim=64), "latent_avg": files.fill("latent_avg", (64,))}
    torch.save(content | {"args": argparse.Namespace(size=8), "ada_aug_p": 0.1}, path)
    return path


def genforce_stylegan2(path: Path) -> Path:
    path = path.with_suffix(".pth")
    state = files.genforce_stylegan2(files.channels_of(32, 512, 32))
    torch.save({"generator": {}, "discriminator": {}, "generator_smooth": state}, path)
    return path


def genforce_stylegan2ada(path: Path) -> Path:
    path = path.with_suffix(".pth")
    state = files.genforce_stylegan2(files.channels_of(8, 512, 32), label_size=4)
    torch.save({"models": {"generator_smooth": state}, "running_metadata": {"iter": 3}}, path)
    return path


def genforce_stylegan1(path: Path) -> Path:
    path = path.with_suffix(".pth")
    torch.save({"generator_smooth": files.genforce_stylegan1(files.channels_of(128, 1024, 24))}, path)
    return path


def genforce_pggan(path: Path) -> Path:
    path = path.with_suffix(".pth")
    torch.save({"generator_smooth": files.pggan(files.channels_of(32, 512, 32))}, path)
    return path


def interfacegan_stylegan1(path: Path) -> Path:
    path = path.with_suffix(".pth")
    torch.save(files.interfacegan_stylegan1([512, 512]), path)
    return path


def interfacegan_pggan(path: Path) -> Path:
    path = path.with_suffix(".pth")
    torch.save(files.pggan([512, 512], interfacegan=True), path, _use_new_zipfile_serialization=False)
    return path


CASES: dict[str, Callable[[Path], Path]] = {
    "stylegan2": stylegan2,
    "stylegan2-conditional-clamped": stylegan2_conditional_clamped,
    "stylegan2-ada": stylegan2_ada,
    "stylegan3-t": stylegan3_t,
    "stylegan3-r-conditional": stylegan3_r_conditional,
    "rosinality": rosinality,
    "genforce-stylegan2": genforce_stylegan2,
    "genforce-stylegan2ada": genforce_stylegan2ada,
    "genforce-stylegan1": genforce_stylegan1,
    "genforce-pggan": genforce_pggan,
    "interfacegan-stylegan1": interfacegan_stylegan1,
    "interfacegan-pggan": interfacegan_pggan,
}
"""A golden case to what writes its file; the suffix is its own."""
