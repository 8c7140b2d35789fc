"""What the speed benchmarks share: calls that take turns, and processes of their own."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def alternate(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, turn about, after one turn that warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median of the ratios of each turn: a load that comes and goes strikes both."""
    return statistics.median(a / b for a, b in zip(times[over], times[under], strict=True))


def spawn(*arguments: str, cores: set[int] | None = None, **options: object) -> "subprocess.Popen[str]":
    """A Python process of the checkout, bound to cores where they are given; talk to it through its pipes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
    )


class Worker:
    """A process that repeats a piece of work whenever it is asked, and says how long that took.

    Args:
        arguments: of Python; the program calls :func:`serve`.
        cores: that it may use.
    """

    def __init__(self, *arguments: str, cores: set[int] | None = None) -> None:
        self.process = spawn(*arguments, cores=cores)

    def start(self) -> None:
        """Ask for one piece of work."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        """Wait until it is done."""
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("the process of this measurement ended early")

    def __call__(self) -> None:
        self.start()
        self.finish()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(work: Callable[[], object]) -> None:
    """The other end of a :class:`Worker`."""
    for _ in sys.stdin:
        work()
        print("done", flush=True)
