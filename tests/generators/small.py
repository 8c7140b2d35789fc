"""A generator and a scorer that cost nothing, and the command that scores the one by the other."""

from pathlib import Path

import torch

from ifgan_pl.generators import Generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.generators.stylegan2 import StyleGAN2
from tests.processes import CPU

SCORE = ["score", "--num", "6", "--block_size", "3", "--scorer", "tests.generators.small:MeanColours", *CPU]


class MeanColours:
    """Mean colours of an image as its scores."""

    attributes = ("red", "green", "blue")

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, 3)."""
        return images.mean(dim=(2, 3))


def save_small_stylegan2(path: Path) -> Path:
    """Write a StyleGAN2 of 16 pixels with random weights, which ``torch.compile`` compiles quickly."""
    generator = StyleGAN2(img_resolution=16, channels=[8, 8, 8], z_dim=16, w_dim=16, mapping_layers=2)
    torch.manual_seed(0)
    for value in generator.parameters():
        torch.nn.init.normal_(value, std=0.5)
    formats.save(generator, path)
    return path


def make_images(generator: Generator, space: str = "w") -> torch.Tensor:
    """Three images of untruncated samples."""
    codes = sample_codes(generator, range(3), space=space, truncation=1.0)
    with torch.inference_mode():
        return synthesise(generator, codes, space=space)
