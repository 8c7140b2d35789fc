"""Generators by name, from a file and by import path; synthesis in another dtype."""

import sys
from pathlib import Path

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.sampling import sample_codes
from tests.generators.small import make_images


@pytest.mark.parametrize("name", ["small", "digiface-dcgan"])
def test_bf16_changes_images_little_and_codes_not_at_all(name: str, small: Path) -> None:
    source = str(small) if name == "small" else name
    exact, rounded = load_generator(source), load_generator(source, dtype=torch.bfloat16)
    assert rounded.fingerprint == exact.fingerprint
    space = "z" if exact.w_mean is None else "w"
    codes = [sample_codes(g, range(3), space=space, truncation=1.0) for g in (exact, rounded)]
    assert torch.equal(*codes)
    difference = (make_images(rounded, space) - make_images(exact, space)).abs()
    assert 0 < difference.mean() < 0.02
    assert make_images(rounded, space).dtype == torch.float32


def test_codes_are_made_in_float32_whatever_synthesis_computes_in(small: Path) -> None:
    generator = load_generator(small, dtype=torch.bfloat16)
    assert isinstance(generator, torch.nn.Module)
    for name, value in generator.state_dict().items():
        in_mapping = name.startswith("mapping") or name == "w_mean"
        assert value.dtype == (torch.float32 if in_mapping else torch.bfloat16), name


USERS = """
class Empty:
    z_dim = 4


class Half:
    name = family = fingerprint = "half"
    z_dim = w_dim = c_dim = num_ws = img_resolution = img_channels = 1
    resolutions, spaces, w_mean = (1,), ("z",), None

    def mapping(self, z, c=None): ...
    def truncate(self, w, psi, cutoff=None): ...
    def synthesis(self, w, resolution=None): ...


instance = Half()
def make(): return Half()
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "users_generator", raising=False)
    (tmp_path / "users_generator.py").write_text(USERS)


@pytest.mark.usefixtures("users_module")
@pytest.mark.parametrize("attribute", ["Half", "instance", "make"])
def test_a_class_an_object_and_a_function_are_taken(attribute: str) -> None:
    generator = load_generator(f"users_generator:{attribute}")
    assert isinstance(generator, Generator)
    assert generator.name == "half"


@pytest.mark.usefixtures("users_module")
def test_what_is_no_generator_is_named() -> None:
    for name, message in {
        "users_generator:Empty": r"users_generator:Empty is no generator: it has no .*w_dim.*synthesis",
        "users_generator:Absent": "cannot import the generator users_generator:Absent",
        "nowhere_at_all:G": "cannot import the generator nowhere_at_all:G",
        "ffhq-mobil": "unknown generator 'ffhq-mobil'",
    }.items():
        with pytest.raises(UserError, match=message):
            load_generator(name)
