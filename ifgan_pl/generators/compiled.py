"""``torch.compile`` of synthesis. The compiled code is kept in this package's cache: the next process reuses it."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifgan_pl.errors import UserError
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.weights import cache_dir
from ifgan_pl.numerics import alone


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

    On a CPU, of a generator that has ``strips`` only these modules are compiled, for threads share their work.

    Args:
        generator: its ``synthesis`` is taken as it is now.
    """

    def __init__(self, generator: Generator) -> None:
        compiler()
        chosen = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""))
        if chosen == Path() or chosen.parent == Path(tempfile.gettempdir()):  # PyTorch sets its default there by itself
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_dir() / "compiled")
        self._synthesis = generator.synthesis
        self._strips: Sequence[nn.Module] = getattr(generator, "strips", ())
        self._compiled: dict[str, Callable[[Tensor, int | None], Tensor]] = {}
        self._seen: set[tuple[object, ...]] = set()
        self._lock = threading.Lock()

    def __call__(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """See :meth:`ifgan_pl.generators.base.Generator.synthesis`."""
        modes = torch.is_grad_enabled(), w.requires_grad, w.is_inference()
        key = (tuple(w.shape), w.dtype, w.device, resolution, *modes)
        if key in self._seen:
            return self._compiled[w.device.type](w, resolution)
        with self._lock, alone():  # threads that come at once would each compile
            if w.device.type not in self._compiled:
                self._compiled[w.device.type] = self._compile(w.device.type)
            picture = self._compiled[w.device.type](w, resolution)
            self._seen.add(key)
        return picture

    def _compile(self, device: str) -> Callable[[Tensor, int | None], Tensor]:
        if device != "cpu":
            return torch.compile(self._synthesis, dynamic=False)
        options: dict[str, Any] = {"cpp_wrapper": True}  # otherwise kernels hold Python's lock, and threads wait
        if not self._strips:
            return torch.compile(self._synthesis, dynamic=False, options=options)
        for module in self._strips:
            module.compile(dynamic=False, options=options)
        return self._synthesis
