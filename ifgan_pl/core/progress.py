"""Progress of predict loops in samples, with rate and time left."""

import time
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LOG_EVERY = 60.0
"""Seconds between two lines where the output is no terminal: a bar would show nothing before the end."""


class RateColumn(ProgressColumn):
    """Samples a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or task.completed / max(task.elapsed or 0, 1e-9)
        return Text(f"{speed:.1f}/s")


class SampleProgress(pl.callbacks.Callback):
    """A bar on rank 0 that counts the samples that ``predict_step`` has done: its output's ``samples``, or a number.

    Where the output is no terminal, a line a minute.

    Args:
        label: what is being done, e.g. ``scoring``.
        total: samples of this rank; asked of the rank's dataset (``samples``) when the loop starts.
    """

    def __init__(self, label: str) -> None:
        self.label = label

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        loaders = trainer.predict_dataloaders
        total = getattr(loaders.dataset, "samples", None) if loaders is not None else None
        share = f" (rank 0 of {trainer.world_size})" if trainer.world_size > 1 else ""
        columns = (BarColumn(), MofNCompleteColumn(), RateColumn(), TextColumn("left"), TimeRemainingColumn())
        self.progress = Progress(TextColumn(f"{self.label}{share}"), *columns)
        self.bar = self.progress.add_task(self.label, total=total)
        self.progress.start()
        self.logged = time.monotonic()

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if trainer.is_global_zero:
            self.progress.advance(self.bar, getattr(outputs, "samples", outputs))
            if not self.progress.console.is_terminal and time.monotonic() - self.logged >= LOG_EVERY:
                self.logged = time.monotonic()
                task = self.progress.tasks[0]
                rate = task.completed / max(task.elapsed or 0, 1e-9)
                total = task.total or 0
                left = timedelta(seconds=round((total - task.completed) / max(rate, 1e-9)))
                print(f"{self.label}: {task.completed:.0f}/{total:.0f}, {rate:.1f}/s, {left} left", flush=True)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero and hasattr(self, "progress"):
            self.progress.stop()
