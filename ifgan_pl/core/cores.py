"""The same computation side by side on the cores of a CPU, whose number never reaches the bits of the results.

Every item is computed by one intra-op thread; several cores compute several items.
"""

import ctypes
import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

THREADS = 1
"""Intra-op threads with which an item is computed: part of what decides its bits."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """How many items to compute side by side: this process's share of the node's cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def map_on_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[function(item) for item in items]``, by the calling thread and one helper for each core that is free.

    Calls nest: images take the cores first, and the strips of one image share what they leave. The calling thread
    works alone where gradients are recorded, since they are summed in the order of the operations, and where PyTorch
    itself has several threads. The first error of an item ends the work and is raised.
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
    """The cores that helpers of :func:`map_on_cores` take and give back, shared by all its calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0
        self.closed = False

    def take(self, most: int) -> int:
        """Take at most ``most`` free cores; returns how many."""
        with self._lock:
            count = 0 if self.closed else max(0, min(most, workers() - 1 - self._taken))
            self._taken += count
            return count

    def give(self, count: int) -> None:
        """Give ``count`` cores back."""
        with self._lock:
            self._taken -= count


_cores = _Cores()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Within this, :func:`map_on_cores` works with the calling thread alone. One thread at a time may be in it."""
    _cores.closed = True
    try:
        yield
    finally:
        _cores.closed = False


def use_one_thread() -> None:
    """Compute with :data:`THREADS` from now on, in this thread, and keep freed memory in the process."""
    if torch.get_num_threads() != THREADS:
        torch.set_num_threads(THREADS)
    keep_freed_memory()


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep freed blocks of several MB for the next image.

    By default it returns them to the kernel and gets them back page by page, zeroed: most of the cost of a large
    elementwise operation.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mmap_max, trim_threshold, arena_max = -4, -1, -8
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(arena_max, 1)
