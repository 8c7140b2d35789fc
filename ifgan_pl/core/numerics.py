"""The numerics record: what decides the bits of scores and images apart from latent codes and weights."""

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ifgan_pl.core.cores import THREADS
from ifgan_pl.core.micro_batches import LARGE, micro_batch_size


@dataclass(frozen=True)
class Numerics:
    """What decides the bits of scores and images, apart from codes and weights; equal records, equal bits.

    Attributes:
        device: model name of the processor or GPU.
        dtype: of synthesis; mapping and the scorer compute in float32.
        micro_batch: samples computed at once, of small images and of large ones; the last micro-batch is padded.
        threads: intra-op threads on a CPU.
        compile: the C++ compiler behind ``torch.compile`` of synthesis; False where that is not used.
        tf32: whether matrix products and convolutions on a GPU may round to TF32.
        torch: version of PyTorch.
    """

    device: str
    dtype: str
    micro_batch: list[int]
    threads: int
    compile: str | bool
    tf32: bool
    torch: str

    def as_dict(self) -> dict[str, Any]:
        """For a manifest or an image's provenance."""
        return asdict(self)


def numerics_of(
    device: torch.device | str, dtype: torch.dtype = torch.float32, *, compiled: str | bool = False
) -> Numerics:
    """The record under which this package computes on a device."""
    device = torch.device(device)
    return Numerics(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        dtype=str(dtype).removeprefix("torch."),
        micro_batch=[micro_batch_size(device), micro_batch_size(device, LARGE + 1)],
        threads=THREADS if device.type == "cpu" else 0,
        compile=compiled,
        tf32=device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32,
        torch=torch.__version__.split("+")[0],
    )


def processor_name() -> str:
    """The CPU's model, as the operating system names it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        if fields:
            return fields[0]
    return platform.processor() or platform.machine()
