"""Work side by side: the order, the errors and the cores that nested calls share."""

import subprocess
import sys
import threading
import time

import pytest
import torch

from ifgan_pl.core import cores
from ifgan_pl.core.cores import map_on_cores, on_one_core, use_one_thread
from tests.processes import environment


@pytest.fixture
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    use_one_thread()
    monkeypatch.setattr(cores, "workers", lambda: 3)


def names(_: object) -> str:
    time.sleep(0.02)
    return threading.current_thread().name


@pytest.mark.usefixtures("three_cores")
def test_results_keep_their_order_and_the_callers_modes() -> None:
    with torch.inference_mode():
        assert map_on_cores(lambda i: (i, torch.is_inference_mode_enabled()), range(50)) == [
            (i, True) for i in range(50)
        ]
    with torch.no_grad():
        assert map_on_cores(lambda _: torch.is_grad_enabled(), range(50)) == [False] * 50
        assert len(set(map_on_cores(names, range(12)))) == 3
    assert set(map_on_cores(names, range(3))) == {threading.current_thread().name}, "gradients are recorded"


@pytest.mark.usefixtures("three_cores")
def test_nested_calls_share_the_cores() -> None:
    busy, most = 0, 0
    lock = threading.Lock()

    def inner(_: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.01)
        with lock:
            busy -= 1

    with torch.no_grad():
        map_on_cores(lambda _: map_on_cores(inner, range(6)), range(2))
        assert most == 3
        with on_one_core():
            assert len(set(map_on_cores(names, range(6)))) == 1
        assert len(set(map_on_cores(names, range(12)))) == 3, "the cores were given back"


@pytest.mark.usefixtures("three_cores")
def test_an_error_ends_the_work_and_is_raised() -> None:
    done: list[int] = []

    def work(i: int) -> None:
        if i == 4:
            raise ValueError("four")
        time.sleep(0.01)
        done.append(i)

    with torch.no_grad(), pytest.raises(ValueError, match="four"):
        map_on_cores(work, range(1000))
    assert len(done) < 20
    with torch.no_grad():
        assert len(set(map_on_cores(names, range(12)))) == 3


OPENMP = """
import torch
from threadpoolctl import threadpool_info
from ifgan_pl.core import cores

cores.workers = lambda: 3
cores.use_one_thread()
with torch.no_grad():
    infos = cores.map_on_cores(lambda _: threadpool_info(), range(30))
print({pool["num_threads"] for info in infos for pool in info if pool["user_api"] == "openmp"})
"""


def test_libraries_take_one_thread_in_every_thread() -> None:
    """OpenMP counts each thread's own; compiled code asks no pool of PyTorch's, which would set it."""
    two = environment() | {"OMP_NUM_THREADS": "2"}
    result = subprocess.run([sys.executable, "-c", OPENMP], env=two, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "{1}"
