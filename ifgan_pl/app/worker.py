"""One thread computes for all visitors: the newest request wins, short ones pass between the steps of long ones."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch


class Dropped(Exception):
    """A newer request of the same visitor took this one's place, or nobody waits for it any more."""


@dataclass(eq=False)
class Job:
    """A request that is computed, or waits.

    Attributes:
        visitor: who asked.
        slot: what for; a newer job of the same visitor and slot takes the place of an older one.
        function: computes; a long one is given its job and calls :meth:`step` between its steps.
        future: of the result; :class:`Dropped` where that is no longer wanted.
        done, total: steps done, and how many there are; 0: not known.
    """

    visitor: str
    slot: str
    function: Callable[..., Any]
    worker: "Worker"
    long: bool
    future: "Future[Any]" = field(default_factory=Future)
    dropped: bool = False
    done: int = 0
    total: int = 0

    def step(self, done: int, total: int) -> None:
        """Say how far a long job is, and let short jobs pass.

        Raises:
            Dropped: the result is no longer wanted.
        """
        self.done, self.total = done, total
        self.worker.let_pass(self)
        if self.dropped:
            raise Dropped

    def drop(self) -> None:
        """The result is no longer wanted."""
        self.dropped = True
        if self.worker.forget(self):
            self.future.set_exception(Dropped())


class Worker:
    """Computes jobs in one thread. Visitors take turns; short jobs (a picture) go before long ones (an inversion)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[bool, deque[Job]] = {False: deque(), True: deque()}
        self._last = {False: "", True: ""}
        self._running: list[Job] = []
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)
        self._thread.start()

    def submit(self, visitor: str, slot: str, function: Callable[..., Any], *, long: bool = False) -> Job:
        """Compute soon; the visitor's older job of this slot, if it waits or is a long one, is dropped.

        Args:
            visitor, slot: see :class:`Job`.
            function: ``function()``, or ``function(job)`` for a long job.
            long: several steps, between which others are served.
        """
        job = Job(visitor, slot, function, self, long)
        self.drop(visitor, slot)
        with self._changed:
            if self._closed:
                job.future.set_exception(Dropped())
                return job
            self._waiting[long].append(job)
            self._changed.notify()
        return job

    def drop(self, visitor: str, slot: str | None = None) -> None:
        """Drop a visitor's jobs, or those of one slot."""
        with self._changed:
            jobs = [*self._waiting[False], *self._waiting[True], *self._running]
        for job in jobs:
            if job.visitor == visitor and slot in (None, job.slot):
                job.drop()

    def forget(self, job: Job) -> bool:
        """Take a job from those that wait; whether it was there."""
        with self._changed:
            there = job in self._waiting[job.long]
            if there:
                self._waiting[job.long].remove(job)
            return there

    def ahead(self, job: Job) -> int:
        """How many jobs go before this one; 0: it is being computed, or is next."""
        with self._changed:
            if job in self._running or job not in self._waiting[job.long]:
                return 0
            place = self._waiting[job.long].index(job)
            return place + sum(other.long or not job.long for other in self._running)

    def let_pass(self, job: Job) -> None:
        """Compute the short jobs that wait; called in the thread of a long one. Each visitor's turn comes once."""
        threads = torch.get_num_threads()
        with self._changed:
            turns = len({other.visitor for other in self._waiting[False]})
        for _ in range(turns):
            short = self._next(False)
            if short is None:
                break
            self._compute(short)
        if torch.get_num_threads() != threads:  # a short job's own choice must not change the long one's bits
            torch.set_num_threads(threads)

    def close(self) -> None:
        """Drop everything and end the thread."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting[False], *self._waiting[True], *self._running]
            self._changed.notify()
        for job in jobs:
            job.drop()
        self._thread.join(timeout=30)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or any(self._waiting.values()))
                if self._closed:
                    return
            job = self._next(False) or self._next(True)
            if job is not None:
                self._compute(job)

    def _next(self, long: bool) -> Job | None:
        """Take the oldest job of the visitor whose turn it is: of another than the last one, where there is one."""
        with self._changed:
            waiting = self._waiting[long]
            others = (job for job in waiting if job.visitor != self._last[long])
            job = next(others, waiting[0] if waiting else None)
            if job is not None:
                waiting.remove(job)
                self._last[long] = job.visitor
                self._running.append(job)
            return job

    def _compute(self, job: Job) -> None:
        try:
            result = job.function(job) if job.long else job.function()
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
        finally:
            with self._changed:
                self._running.remove(job)
