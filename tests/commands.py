"""Commands run in this process, and what they leave."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from tests.processes import CPU


def failure(command: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The single line that a mistake prints."""
    with pytest.raises(SystemExit) as exit_:
        command(list(arguments))
    assert exit_.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    return lines[0]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, its path in it and its bytes, but for the options of the run: they name the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("config.yaml")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@contextmanager
def file_size_limit(kib: int) -> Iterator[None]:
    """No file may grow beyond ``kib`` KiB: what a full disk looks like to a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kib, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def small_edit(folder: Path) -> list[str]:
    """Arguments of ``edit.py`` that take milliseconds a face; writes the boundary that they name into ``folder``."""
    normals = torch.randn(2, 100, generator=torch.Generator().manual_seed(0)).sign() / 10
    LinearBoundary(normals, attributes=["a/b", "c"], space="z").save(folder / "b.safetensors")
    arguments = ["--generator", "digiface-dcgan", "--boundary", str(folder / "b.safetensors"), "--truncation", "1"]
    return [*arguments, "--unit", "latent", *CPU]
