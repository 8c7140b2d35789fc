"""Models that answer in milliseconds: 64² faces with boundaries drawn by chance."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ifgan_pl.app.house import House
from ifgan_pl.app.models import Models
from ifgan_pl.app.session import Session
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.generators import Generator

NAMES = ["smile", "age", "hat"]


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
