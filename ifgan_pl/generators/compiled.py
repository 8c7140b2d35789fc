"""``torch.compile`` of synthesis. The compiled code is kept in this package's cache: the next process reuses it."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import torch
from torch import Tensor

from ifgan_pl.errors import UserError
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.weights import cache_dir


def compiler() -> str:
    """Name and version of the C++ compiler that ``torch.compile`` calls; part of what decides the bits on a CPU.

    Raises:
        UserError: there is none.
    """
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise UserError(f"--compile needs a C++ compiler, and {name} is not installed: install g++ or set CXX")
    result = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
    return result.stdout.partition("\n")[0].strip() or name


class CompiledSynthesis:
    """A generator's ``synthesis``, compiled when a shape of codes is first seen: half a minute the first time on a
    machine, seconds in a later process.

    Args:
        generator: its ``synthesis`` is taken as it is now.
    """

    def __init__(self, generator: Generator) -> None:
        compiler()
        chosen = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""))
        if chosen == Path() or chosen.parent == Path(tempfile.gettempdir()):  # PyTorch sets its default there by itself
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_dir() / "compiled")
        self._compiled = torch.compile(generator.synthesis, dynamic=False)
        self._seen: set[tuple[object, ...]] = set()
        self._lock = threading.Lock()

    def __call__(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """See :meth:`ifgan_pl.generators.base.Generator.synthesis`."""
        modes = torch.is_grad_enabled(), w.requires_grad, w.is_inference()
        key = (tuple(w.shape), w.dtype, w.device, resolution, *modes)
        if key in self._seen:
            return self._compiled(w, resolution)
        with self._lock:  # threads that come at once would each compile
            picture = self._compiled(w, resolution)
            self._seen.add(key)
        return picture
