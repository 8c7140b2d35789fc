"""Who is served when, with jobs that wait for a word."""

import threading
from collections.abc import Iterator

import pytest
import torch

from ifgan_pl.app.worker import Dropped, Job, Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


class Gate:
    """A long job of ``steps`` steps, each of which waits until it is let on."""

    def __init__(self, steps: int) -> None:
        self.steps, self.ticks, self.begun = steps, threading.Semaphore(0), threading.Event()

    def __call__(self, job: Job) -> str:
        for i in range(self.steps):
            self.begun.set()
            assert self.ticks.acquire(timeout=10)
            job.step(i + 1, self.steps)
        return "done"

    def open(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.ticks.release()


def test_the_newest_of_many_moves_wins(worker: Worker) -> None:
    gate, seen = Gate(1), []
    worker.submit("b", "long", gate, long=True)
    gate.begun.wait(10)
    moves = [worker.submit("a", "image", lambda i=i: seen.append(i)) for i in range(40)]
    gate.open()
    moves[-1].future.result(10)
    assert seen == [39]
    assert all(isinstance(move.future.exception(0), Dropped) for move in moves[:-1])


def test_short_jobs_pass_between_the_steps_of_a_long_one(worker: Worker) -> None:
    gate = Gate(3)
    long = worker.submit("a", "inversion", gate, long=True)
    gate.begun.wait(10)
    short = worker.submit("b", "image", lambda: "image")
    gate.open()
    assert short.future.result(10) == "image"
    assert not long.future.done()
    gate.open(2)
    assert long.future.result(10) == "done"
    assert (long.done, long.total) == (3, 3)


def test_visitors_take_turns(worker: Worker) -> None:
    gate, order = Gate(1), []
    worker.submit("x", "long", gate, long=True)
    gate.begun.wait(10)
    jobs = [worker.submit("a", f"slot{i}", lambda i=i: order.append(f"a{i}"), long=False) for i in range(3)]
    jobs += [worker.submit("b", "slot", lambda: order.append("b"))]
    gate.open()
    for job in jobs:
        job.future.result(10)
    assert order.index("b") == 1


def test_who_waits_is_told_how_many_are_before(worker: Worker) -> None:
    gate, other = Gate(1), Gate(1)
    worker.submit("a", "long", gate, long=True)
    gate.begun.wait(10)
    second = worker.submit("b", "long", other, long=True)
    third = worker.submit("c", "long", lambda job: "third", long=True)
    assert [worker.ahead(second), worker.ahead(third)] == [1, 2]
    gate.open()
    other.open()
    assert third.future.result(10) == "third"


def test_a_long_job_that_nobody_waits_for_ends_at_its_next_step(worker: Worker) -> None:
    gate = Gate(1000)
    job = worker.submit("a", "inversion", gate, long=True)
    gate.begun.wait(10)
    worker.drop("a")
    gate.open()
    with pytest.raises(Dropped):
        job.future.result(10)
    assert worker.submit("a", "image", lambda: 1).future.result(10) == 1


def test_an_error_is_the_job_s_and_the_worker_goes_on(worker: Worker) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        worker.submit("a", "image", fail).future.result(10)
    assert worker.submit("a", "image", lambda: 2).future.result(10) == 2


def test_short_jobs_leave_the_threads_of_a_long_one_alone(worker: Worker) -> None:
    def long(job: Job) -> int:
        torch.set_num_threads(2)
        worker.submit("b", "image", lambda: torch.set_num_threads(1))
        job.step(1, 1)
        count = torch.get_num_threads()
        torch.set_num_threads(1)
        return count

    assert worker.submit("a", "long", long, long=True).future.result(10) == 2


def test_a_closed_worker_drops_what_waits() -> None:
    worker, gate = Worker(), Gate(1)
    running = worker.submit("a", "long", gate, long=True)
    gate.begun.wait(10)
    waiting = worker.submit("b", "image", lambda: 1)
    gate.open()
    worker.close()
    for job in (running, waiting, worker.submit("c", "image", lambda: 1)):
        assert job.future.done()
    assert isinstance(waiting.future.exception(0), Dropped | None)
