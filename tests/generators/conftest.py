from pathlib import Path

import pytest

from ifgan_pl.generators import Generator, load_generator
from tests.generators.small import save_small_stylegan2


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a StyleGAN2 of 16 pixels with random weights."""
    return save_small_stylegan2(tmp_path_factory.mktemp("small") / "small.safetensors")


@pytest.fixture(scope="session")
def mobile() -> Generator:
    """``ffhq-mobile``; a test that changes a generator loads its own."""
    return load_generator("ffhq-mobile")
