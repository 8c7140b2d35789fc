"""Progress of long work in samples, with rate and time left."""

import math
import time
from datetime import timedelta
from typing import Any, Self

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ifgan_pl.core.messages import is_rank_zero

LOG_EVERY = 60.0
"""Seconds between two lines where the output is no terminal: a bar would show nothing before the end."""


class RateColumn(ProgressColumn):
    """Samples a second, or seconds a sample."""

    def render(self, task: Task) -> Text:
        whole = task.completed / max(task.finished_time or task.elapsed or 0, 1e-9)
        speed = whole if task.finished else task.speed or whole
        return Text(rate_text(speed))


def rate_text(rate: float) -> str:
    """How fast that is, in samples a second."""
    return f"{rate:.1f}/s" if rate > 0.95 or not rate else f"{1 / rate:.1f} s each"


def progress_line(label: str, done: float, total: float, seconds: float, before: float = 0) -> str:
    """``label: done/total, rate, time left``, of which ``before`` were done before the clock started."""
    rate = (done - before) / max(seconds, 1e-9)
    left = timedelta(seconds=round((total - done) / max(rate, 1e-9)))
    return f"{label}: {int(done)}/{total:.0f}, {rate_text(rate)}, {left} left"


class CountBar:
    """A bar of how many of ``total`` are done, on rank 0; where the output is no terminal, a line a minute.

    Args:
        label: what is being done, e.g. ``decoding``.
        total: how many there are to do; ``None``: not known.
    """

    def __init__(self, label: str, total: int | None) -> None:
        self.label = label
        columns = (BarColumn(), MofNCompleteColumn(), RateColumn(), TextColumn("left"), TimeRemainingColumn())
        self.progress = Progress(TextColumn(label), *columns, disable=not is_rank_zero())
        self.task = self.progress.add_task(label, total=total)
        self.logged = time.monotonic()
        self.done = 0.0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def advance(self, count: float) -> None:
        """``count`` more are done."""
        self.done += count
        self.progress.update(self.task, completed=round(self.done, 6))  # parts of one add up to one
        quiet = self.progress.disable or self.progress.console.is_terminal
        if not quiet and time.monotonic() - self.logged >= LOG_EVERY:
            self.logged = time.monotonic()
            task = self.progress.tasks[0]
            print(progress_line(self.label, task.completed, task.total or 0, task.elapsed or 0), flush=True)


class SampleProgress(pl.callbacks.Callback):
    """A :class:`CountBar` of the samples that ``predict_step`` has done: its output's ``samples``, or a number.

    Args:
        label: what is being done, e.g. ``scoring``. How many samples there are is asked of the rank's dataset
            (``samples``) when the loop starts.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.bar: CountBar | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loaders = trainer.predict_dataloaders
        total = getattr(loaders.dataset, "samples", None) if loaders is not None else None
        share = f" (rank 0 of {trainer.world_size})" if trainer.world_size > 1 else ""
        self.bar = CountBar(f"{self.label}{share}", total).__enter__()

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        assert self.bar is not None
        self.bar.advance(getattr(outputs, "samples", outputs))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the screen."""
        if self.bar is not None:
            self.bar.__exit__()


class StepLog(pl.callbacks.Callback):
    """A line a minute of how many optimiser steps a fit has taken, on rank 0, where the output is no terminal.

    There Lightning's ``RichProgressBar`` shows nothing before the end.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began = self.logged = time.monotonic()
        self.before = trainer.global_step
        self.quiet = not trainer.is_global_zero or Console().is_terminal

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        now, total = time.monotonic(), float(trainer.estimated_stepping_batches)
        if self.quiet or now - self.logged < LOG_EVERY or not math.isfinite(total):
            return
        self.logged = now
        print(progress_line("training", trainer.global_step, total, now - self.began, self.before), flush=True)
