"""Same codes, same bits: fixed micro-batches, one intra-op thread, and a record of what else decides the bits.

The user's batch size only groups micro-batches, so it changes nothing. On a CPU a micro-batch is one sample computed by
one thread (also the fastest), and several cores compute several samples, or fixed parts of one, side by side: neither
the number of cores nor of ranks reaches the bits.
"""

import ctypes
import os
import platform
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

LARGE = 256
"""Side in pixels above which an image is large: a GPU computes fewer of them at once."""
THREADS = 1
"""Intra-op threads of a micro-batch on the CPU."""


Item = TypeVar("Item")
Result = TypeVar("Result")


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


def micro_batch(device: torch.device, side: int = 0) -> int:
    """Samples computed at once.

    On a CPU one. On a GPU 64, which a small network needs to fill it, or 16 images of more than :data:`LARGE` pixels,
    which nearly fill it and need more memory each.

    Args:
        device: that computes.
        side: of the images that are synthesised, in pixels; 0: codes, scores.
    """
    if device.type == "cpu":
        return 1
    return 16 if side > LARGE else 64


def numerics_of(
    device: torch.device | str, dtype: torch.dtype = torch.float32, *, compiled: str | bool = False
) -> Numerics:
    """The record under which this package computes on a device."""
    device = torch.device(device)
    return Numerics(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        dtype=str(dtype).removeprefix("torch."),
        micro_batch=[micro_batch(device), micro_batch(device, LARGE + 1)],
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


def workers() -> int:
    """How many micro-batches to compute side by side on a CPU: the cores of this process's share of the node."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def map_micro_batches(function: Callable[[Tensor], Tensor], codes: Tensor, *, side: int = 0) -> Tensor:
    """``function(codes)``, computed in micro-batches of the fixed size of the codes' device.

    Args:
        function: (n, …) -> (n, …), each row a function of its row alone.
        codes: (N, …), N ≥ 1.
        side: of the images that the function synthesises, which decides that size; 0: it does not.

    Returns:
        the results, concatenated: (N, …), on the codes' device.
    """
    if len(codes) == 0:
        raise ValueError("at least one code is needed, got none")
    size = micro_batch(codes.device, side)
    pieces = list(torch.split(codes, size))
    padding = size - len(pieces[-1])
    if padding:
        pieces[-1] = torch.cat([pieces[-1], pieces[-1][-1:].expand(padding, *codes.shape[1:])])
    if codes.device.type != "cpu":
        # one switch for both: by default PyTorch rounds convolutions to TF32, and matrix products not
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32
        results = [function(piece) for piece in pieces]
    else:
        use_one_thread()
        results = map_on_cores(function, pieces)
    if padding:
        results[-1] = results[-1][:-padding]
    return torch.cat(results) if len(results) > 1 else results[0]


def map_on_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[function(item) for item in items]``, by this thread and as many more as cores are left.

    Calls nest: images take the cores first, and the strips of one share what they leave. This thread works alone
    where gradients are recorded, for they are summed in the order of the operations, and where an operation has more
    threads than one.
    """
    results: dict[int, Result] = {}
    waiting = deque(range(len(items)))
    inference = torch.is_inference_mode_enabled()

    def work() -> None:
        while waiting:
            try:
                i = waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                results[i] = function(items[i])
            except BaseException:
                waiting.clear()
                raise

    def help_out() -> None:
        try:
            torch.set_num_threads(THREADS)  # each thread's own too, where a library is called without PyTorch's pool
            with torch.inference_mode(inference), torch.no_grad():  # both are each thread's own
                work()
        finally:
            _cores.give(1)

    by_itself = torch.is_grad_enabled() or torch.get_num_threads() != THREADS
    helpers = 0 if by_itself else _cores.take(len(items) - 1)
    if not helpers:
        work()
    else:
        with ThreadPoolExecutor(helpers) as pool:
            futures = [pool.submit(help_out) for _ in range(helpers)]
            work()
            for future in futures:
                future.result()
    return [results[i] for i in range(len(items))]


class _Cores:
    """What all calls of :func:`map_on_cores` share: the cores that no thread beside the main one computes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0
        self.closed = False

    def take(self, most: int) -> int:
        """Take up to ``most`` of those that are left; returns how many."""
        with self._lock:
            count = 0 if self.closed else max(0, min(most, workers() - 1 - self._taken))
            self._taken += count
            return count

    def give(self, count: int) -> None:
        """Give some back."""
        with self._lock:
            self._taken -= count


_cores = _Cores()


@contextmanager
def alone() -> Iterator[None]:
    """Within this, calls of :func:`map_on_cores` find no cores left; one thread at a time."""
    _cores.closed = True
    try:
        yield
    finally:
        _cores.closed = False


def use_one_thread() -> None:
    """Apply the record's thread count, and keep freed memory for the next image.

    glibc returns blocks of several MB to the kernel when they are freed, and gets them back page by page, zeroed: that
    is most of the cost of a large elementwise operation. Kept in the heap they cost nothing.
    """
    if torch.get_num_threads() != THREADS:
        torch.set_num_threads(THREADS)
    global _heap_kept
    if not _heap_kept and sys.platform == "linux":
        _heap_kept = True
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mmap_max, trim_threshold, arena_max = -4, -1, -8
            mallopt(mmap_max, 0)
            mallopt(trim_threshold, 2**31 - 1)
            mallopt(arena_max, 1)


_heap_kept = False
