"""docs/generators.md does what it says: its examples run, its figures are right."""

import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = (Path(__file__).parents[2] / "docs" / "generators.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_generator", raising=False)
    return tmp_path


def test_nvidia_seeds(folder: Path) -> None:
    exec(BLOCKS[0], {})
    z = np.load(folder / "z.npy")
    assert z.shape == (10, 512)
    assert z.dtype == np.float32
    assert np.array_equal(z[3], np.random.RandomState(3).randn(1, 512).astype(np.float32)[0])


def test_a_generator_of_ones_own(folder: Path) -> None:
    (folder / "my_generator.py").write_text(BLOCKS[1])
    found: dict[str, object] = {}
    exec(BLOCKS[2], found)
    images = found["images"]
    assert isinstance(images, torch.Tensor)
    assert images.shape == (4, 3, 64, 64)
    assert images.abs().max() <= 1
    assert images.std() > 0.1


def test_the_shares_of_lower_resolutions() -> None:
    """Multiply-adds of StyleGAN2-1024's 3×3 convolutions up to a resolution, as the page states them."""
    channels = [512, 512, 512, 512, 512, 256, 128, 64, 32]
    work = [9 * channels[0] ** 2 * 16]
    for i, (before, width) in enumerate(itertools.pairwise(channels), start=1):
        work.append(9 * width * (before * (2 * 2**i) ** 2 + width * (4 * 2**i) ** 2))  # the first one before enlarging
    for resolution, share in re.findall(r"(\d+) px (\d+) %", PAGE):
        stop = int(resolution).bit_length() - 2
        assert round(100 * sum(work[:stop]) / sum(work)) == int(share), resolution
