"""``torch.compile`` of synthesis. The compiled code is kept in this package's cache: the next process reuses it."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ifgan_pl.core.cores import on_one_core
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import cache_dir
from ifgan_pl.generators.base import Generator

TRACING = threading.Lock()
"""Held by the one thread that compiles."""


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
    """A generator's ``synthesis``, compiled for each new shape of codes: half a minute the first time on a machine,
    seconds in a later process.

    The modules that a CPU computes in strips of an image (``strips(resolution)`` of the generator) are compiled one by
    one instead, in place, since several threads compute the strips.

    Args:
        generator: its ``synthesis`` is taken as it is now.
    """

    def __init__(self, generator: Generator) -> None:
        compiler()
        chosen = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""))
        if chosen == Path() or chosen.parent == Path(tempfile.gettempdir()):  # PyTorch sets its default there by itself
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_dir() / "compiled")
        self._synthesis = generator.synthesis
        self._compiled = torch.compile(generator.synthesis, dynamic=False)
        self._strips = getattr(generator, "strips", lambda resolution: ())
        self._seen: set[tuple[object, ...]] = set()

    def __call__(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """See :meth:`ifgan_pl.generators.base.Generator.synthesis`."""
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), w.requires_grad, w.is_inference()
        key = (tuple(w.shape), w.dtype, w.device, resolution, *modes)
        if key not in self._seen:
            with TRACING, on_one_core():  # PyTorch traces one thread at a time, and the others then find it compiled
                image = self._run(w, resolution)
                self._seen.add(key)
                return image
        return self._run(w, resolution)

    def _run(self, w: Tensor, resolution: int | None) -> Tensor:
        strips = self._strips(resolution) if w.device.type == "cpu" else ()
        if not strips:
            return self._compiled(w, resolution)
        for module in strips:
            if not isinstance(module.forward, CompiledForward):
                module.forward = CompiledForward(module)
        return self._synthesis(w, resolution)


class CompiledForward:
    """A frozen module's ``forward`` of tensors, compiled ahead for each shape and dtype; threads call it side by side.

    The guards of ``torch.compile`` fail now and then where threads evaluate them at once, which compiles again. On
    another device than the CPU, and where a gradient is recorded, the module computes as it is.

    Args:
        module: its ``forward`` is taken as it is now.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module, self._forward = module, module.forward
        self._compiled: dict[tuple[object, ...], Callable[..., tuple[Tensor]]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output of the module."""
        if inputs[0].device.type != "cpu" or (torch.is_grad_enabled() and any(t.requires_grad for t in inputs)):
            plain: Tensor = self._forward(*inputs)
            return plain
        inputs = tuple(t.contiguous() for t in inputs)
        key = tuple((t.shape, t.dtype) for t in inputs)
        if key not in self._compiled:
            self._compiled[key] = self._compile(inputs)
        (result,) = self._compiled[key](*inputs)
        return result

    def _compile(self, inputs: tuple[Tensor, ...]) -> Callable[..., tuple[Tensor]]:
        import torch._inductor  # takes longer to import than everything else together

        installed = self._module.forward
        self._module.forward = self._forward
        try:
            with torch.inference_mode(False), torch.enable_grad():
                examples = tuple(torch.zeros(t.shape, dtype=t.dtype) for t in inputs)
                program = torch.export.export(self._module, examples, strict=True)
                held = {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}
                first = [held[spec.target] for spec in program.graph_signature.input_specs if spec.target is not None]
                # in C++ as a whole: Python's lock would be held by every kernel, and threads would wait
                options = {"cpp_wrapper": True}
                compiled = torch._inductor.compile(program.graph_module, [*first, *examples], options=options)
        finally:
            self._module.forward = installed
        return partial(compiled, *first)
