"""Models that answer in milliseconds: 64² faces with boundaries drawn by chance; and some that invert in a second."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.app.house import House
from ifgan_pl.app.models import Models
from ifgan_pl.app.session import Session
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.generators import Generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.stylegan2 import StyleGAN2
from ifgan_pl.photos import Inverter
from ifgan_pl.photos.refinement import Steps

NAMES = ["smile", "age", "hat"]
FEW_STEPS = Steps(w=1, layers=1, full=0, weights=0, weights_full=0)


@pytest.fixture(scope="session")
def boundary_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    normals = torch.randn(3, 100, generator=torch.Generator().manual_seed(0)).sign() / 10
    ones = torch.ones(3)
    boundary = LinearBoundary(
        normals,
        attributes=NAMES,
        kinds=["binary", "continuous", "binary"],
        space="z",
        lambdas=2 * ones,
        offsets=0 * ones,
        score_mean=0 * ones,
        score_std=2 * ones,
    )
    path = tmp_path_factory.mktemp("boundary") / "small.safetensors"
    boundary.save(path)
    return path


@pytest.fixture
def models(dcgan: Generator, boundary_file: Path) -> Models:
    return Models(dcgan, LinearBoundary.load(boundary_file), boundary_file)


@pytest.fixture
def house(models: Models, boundary_file: Path, tmp_path: Path) -> Iterator[House]:
    made = House(models, boundary=str(boundary_file), taught=tmp_path / "taught")
    yield made
    made.shut()


@pytest.fixture
def session(house: House) -> Session:
    return house.open()


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A StyleGAN2 of 256 pixels with random weights, which has W+, and a boundary in its W, as files."""
    place = tmp_path_factory.mktemp("small")
    generator = StyleGAN2(img_resolution=256, channels=[8] * 7, z_dim=16, w_dim=16, mapping_layers=2)
    torch.manual_seed(0)
    for value in generator.parameters():
        torch.nn.init.normal_(value, std=0.5)
    formats.save(generator, place / "small.safetensors")
    normals, spread = torch.linalg.qr(torch.randn(16, 16))[0][:3], torch.randn(16, 16)
    options: dict[str, Any] = {"kinds": ["binary"] * 3, "lambdas": torch.ones(3), "score_std": torch.ones(3)}
    options |= {"score_mean": torch.zeros(3), "offsets": torch.zeros(3)}
    options |= {"covariance": spread @ spread.T, "metric": "sqrt"}
    LinearBoundary(normals, attributes=NAMES, space="w", **options).save(place / "b.safetensors")
    return str(place / "small.safetensors"), str(place / "b.safetensors")


@pytest.fixture(scope="module")
def visitors(small_files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Where photographs are inverted in a second."""
    models = Models.load(*small_files)
    house = House(models, boundary=small_files[1], taught=tmp_path_factory.mktemp("taught"))
    house._inverter = Inverter.load(models.generator, steps=FEW_STEPS)
    yield house
    house.shut()
