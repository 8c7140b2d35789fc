"""Boundaries by minibatch gradient descent under a Trainer, for codes that are read from files block by block."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ifgan_pl.boundaries.solvers.losses import LOSSES, masked_loss
from ifgan_pl.boundaries.solvers.moments import Moments, Rows, moments
from ifgan_pl.boundaries.solvers.solution import Solution
from ifgan_pl.core.checkpoint_io import AtomicCheckpointIO
from ifgan_pl.core.distributed import Reduce, alone
from ifgan_pl.core.progress import StepLog
from ifgan_pl.core.trainer_flags import one_line_refusals

BLOCK = 16384
"""Rows that are read, and mixed, at once."""
Batch = tuple[Tensor, Tensor]
"""Codes (B, d) and targets (B, m), NaN: missing."""


class Hyperplanes(pl.LightningModule):
    """Fit m hyperplanes by stochastic gradient descent with momentum in whitened coordinates.

    W is strongly anisotropic: in its own coordinates gradient descent would need thousands of epochs. The planes are
    the mean over the second half of the steps (Polyak and Juditsky 1992), from which the noise of the minibatches is
    gone.

    Args:
        dim: d.
        names: of the m attributes, for what is logged: ``train/loss``, and ``val/accuracy`` of the mean over
            attributes and ``val/accuracy/NAME`` of each, on the rows held out.
        loss: a name of :data:`ifgan_pl.boundaries.solvers.losses.LOSSES`.
        l2: (m,) penalties on ``|w|²/2``.
        lr: peak learning rate, relative to what is stable for the loss' curvature.
    """

    mean: Tensor
    whitening: Tensor
    penalty: Tensor
    averaged: Tensor
    steps_averaged: Tensor
    hits: Tensor
    counts: Tensor

    def __init__(self, dim: int, names: Sequence[str], loss: str, l2: Sequence[float], lr: float = 0.2) -> None:
        super().__init__()
        names, l2 = list(names), list(l2)
        self.save_hyperparameters()
        if loss not in LOSSES:
            raise ValueError(f"loss of {', '.join(LOSSES)} expected, got {loss!r}")
        self.names, self.loss, self.lr = names, loss, lr
        self.directions = nn.Parameter(torch.zeros(len(names), dim))
        self.offsets = nn.Parameter(torch.zeros(len(names)))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("whitening", torch.eye(dim))
        self.register_buffer("penalty", torch.tensor(l2, dtype=torch.float32))
        self.register_buffer("averaged", torch.zeros(len(names), dim + 1))
        self.register_buffer("steps_averaged", torch.zeros((), dtype=torch.long))
        self.register_buffer("hits", torch.zeros(len(names)), persistent=False)
        self.register_buffer("counts", torch.zeros(len(names)), persistent=False)

    def whiten(self, statistics: Moments) -> None:
        """Take the coordinates in which codes of these moments, penalty included, are white."""
        values, vectors = statistics.spectrum
        spread = values + float(self.penalty.mean()) / LOSSES[self.loss].steepest
        self.mean.copy_(statistics.mean)
        self.whitening.copy_(vectors * spread.rsqrt())

    @property
    def weights(self) -> Tensor:
        """(m, d) normals of the hyperplanes in the coordinates of the codes."""
        return self.directions @ self.whitening.mT

    def forward(self, codes: Tensor) -> Tensor:
        """Decision values: (N, d) -> (N, m)."""
        return (codes - self.mean) @ self.weights.mT + self.offsets

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss of each attribute over its targets, and the penalty; summed over attributes."""
        codes, targets = batch
        penalty = self.penalty / 2 * self.weights.square().sum(1)
        loss = (masked_loss(self.loss, self(codes), targets) + penalty).sum()
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(codes), sync_dist=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Take the planes of the second half of the steps into their mean."""
        if self.trainer.global_step > self.trainer.estimated_stepping_batches / 2:
            now = torch.cat([self.directions.detach(), self.offsets.detach()[:, None]], 1)
            self.steps_averaged += 1
            self.averaged += (now - self.averaged) / self.steps_averaged

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count on which side of their plane the rows held out lie."""
        codes, targets = batch
        centre = {"logistic": 0.5}.get(self.loss, 0.0)
        present = targets.isfinite()
        self.hits += (((self(codes) > 0) == (targets > centre)) & present).sum(0)
        self.counts += present.sum(0)

    def on_validation_epoch_end(self) -> None:
        """Log the accuracies, of all ranks."""
        hits, counts = (self.trainer.strategy.reduce(t.clone(), reduce_op="sum") for t in (self.hits, self.counts))
        self.hits.zero_()
        self.counts.zero_()
        accuracies = hits / counts
        self.log("val/accuracy", accuracies.nanmean(), prog_bar=True)
        self.log_dict({f"val/accuracy/{name}": value for name, value in zip(self.names, accuracies, strict=True)})

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """SGD with Nesterov's momentum, under a cosine to zero."""
        peak = self.lr / LOSSES[self.loss].steepest
        optimizer = torch.optim.SGD(self.parameters(), lr=peak, momentum=0.9, nesterov=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def solution(self) -> Solution:
        """The hyperplanes as the exact solvers return them: the mean ones, or those of now before half-way."""
        now = torch.cat([self.directions.detach(), self.offsets.detach()[:, None]], 1)
        planes = (self.averaged if self.steps_averaged else now).double()
        weights = planes[:, :-1] @ self.whitening.double().mT
        biases = planes[:, -1] - weights @ self.mean.double()
        finite = weights.isfinite().all(1).tolist()  # it diverges or ends where its schedule does
        return Solution(weights, biases, {"l2": self.penalty.tolist(), "converged": finite})


class MixedBlocks(IterableDataset[Batch]):
    """Minibatches of this rank's rows: blocks in mixed order, and the rows within each.

    Args:
        codes: (N, d), read a block at a time.
        targets: (N, m); rows without any target are left out.
        batch_size: rows of a minibatch.
        batches: how many; a rank with fewer rows than others begins again, and what is over waits for another epoch.
        order: draws the order.
    """

    def __init__(self, codes: Rows, targets: Tensor, batch_size: int, batches: int, order: np.random.Generator) -> None:
        self.codes, self.targets, self.batch_size, self.batches, self.order = codes, targets, batch_size, batches, order

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        left = self.batches
        codes, targets = self.codes[0:0], self.targets[0:0]
        if not bool(self.targets.isfinite().any()):
            yield from [(codes, targets)] * left  # the other ranks wait for as many steps
            return
        while True:
            for start in self.order.permutation(np.arange(0, len(self.codes), BLOCK)).tolist():
                part = slice(start, min(start + BLOCK, len(self.codes)))
                rows = self.targets[part].isfinite().any(1).nonzero()[:, 0]
                rows = rows[torch.from_numpy(self.order.permutation(len(rows)))]
                codes = torch.cat([codes, self.codes[part][rows.to(self.codes.device)]])
                targets = torch.cat([targets, self.targets[part][rows]])
                while len(codes) >= self.batch_size:
                    yield codes[: self.batch_size], targets[: self.batch_size]
                    codes, targets = codes[self.batch_size :], targets[self.batch_size :]
                    left -= 1
                    if not left:
                        return


class HeldOut(IterableDataset[Batch]):
    """This rank's rows that have a target, block after block; see :class:`MixedBlocks` for the arguments."""

    def __init__(self, codes: Rows, targets: Tensor) -> None:
        self.codes, self.targets = codes, targets
        self.starts = range(0, len(codes), BLOCK)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Batch]:
        for start in self.starts:
            part = slice(start, min(start + BLOCK, len(self.codes)))
            rows = self.targets[part].isfinite().any(1)
            yield self.codes[part][rows.to(self.codes.device)], self.targets[part][rows]


class SGD:
    """A solver of :mod:`ifgan_pl.boundaries.solvers`' signature that sees the codes a minibatch at a time.

    Args:
        loss: a name of :data:`ifgan_pl.boundaries.solvers.losses.LOSSES`.
        batch_size: rows of a minibatch, on each rank.
        lr: see :class:`Hyperplanes`.
        seed: of the order of the rows.
        trainer: flags of ``Trainer``; by default 20 epochs. Callbacks and loggers given here are used as they are.
        folder: for ``checkpoints/``, from whose last an interrupted run is continued, and ``logs/``; ``None``:
            nothing is written.
    """

    def __init__(
        self,
        loss: str = "logistic",
        *,
        batch_size: int = 1024,
        lr: float = 0.2,
        seed: int = 0,
        trainer: Mapping[str, Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.loss, self.batch_size, self.lr, self.seed = loss, batch_size, lr, seed
        self.trainer, self.folder = dict(trainer or {}), folder

    def __call__(
        self,
        codes: Rows,
        targets: Tensor,
        *,
        l2: float | Tensor,
        statistics: Moments | None = None,
        reduce: Reduce = alone,
        held_out: Tensor | None = None,
        names: Sequence[str] = (),
        **options: Any,
    ) -> Solution:
        """Train; under several ranks each with its own rows, and the Trainer among the same ranks.

        Args:
            codes: (N, d), read in blocks.
            targets: (N, m), as the loss takes them; NaN: missing.
            l2, statistics, reduce: as of the exact solvers.
            held_out: (N, m) targets of rows that are kept out, by which accuracy is logged; NaN elsewhere.
            names: m names for what is logged.
        """
        if options.get("weights") is not None:
            raise ValueError("sgd takes no sample weights: use an exact solver")
        penalties = torch.as_tensor(l2, dtype=torch.float32).expand(targets.shape[1]).tolist()
        names = names or [str(j) for j in range(len(penalties))]
        module = Hyperplanes(codes.shape[1], names, self.loss, penalties, self.lr)
        module.whiten(statistics or moments(codes, reduce=reduce))
        data = BlockData(codes, targets.cpu(), held_out, batch_size=self.batch_size, seed=self.seed, reduce=reduce)
        last = self.folder / "checkpoints" / "last.ckpt" if self.folder else None
        resume = last if last is not None and last.is_file() else None
        self._trainer().fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        return module.cpu().solution()

    def _trainer(self) -> pl.Trainer:
        given = {name: value for name, value in self.trainer.items() if value is not None}
        callbacks = given.pop("callbacks", None) or []
        callbacks = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
        defaults: dict[str, Any] = {"max_epochs": 20, "enable_model_summary": False, "num_sanity_val_steps": 0}
        defaults |= {"log_every_n_steps": 1, "plugins": [AtomicCheckpointIO()]}
        needed = {"reload_dataloaders_every_n_epochs": 1, "use_distributed_sampler": False}  # an order for each epoch
        if self.folder is None:
            defaults |= {"logger": False, "enable_checkpointing": False}
        else:
            defaults["logger"] = CSVLogger(self.folder, name="logs")
            if not any(isinstance(callback, Checkpoint) for callback in callbacks):
                where = self.folder / "checkpoints"
                callbacks.append(
                    ModelCheckpoint(where, "last", enable_version_counter=False, save_on_train_epoch_end=True)
                )
        if given.get("enable_progress_bar", True):
            callbacks.append(StepLog())
        with one_line_refusals():
            return pl.Trainer(**(defaults | given | needed), callbacks=callbacks)


class BlockData(pl.LightningDataModule):
    """This rank's rows for training and validation; see :class:`SGD` for the arguments."""

    def __init__(
        self, codes: Rows, targets: Tensor, held_out: Tensor | None, *, batch_size: int, seed: int, reduce: Reduce
    ) -> None:
        super().__init__()
        self.codes, self.targets, self.held_out, self.seed = codes, targets, held_out, seed
        rows, ranks = reduce(torch.tensor([int(targets.isfinite().any(1).sum()), 1.0]).double()).tolist()
        self.batch_size = max(1, min(batch_size, int(rows / ranks)))
        self.batches = max(1, round(rows / ranks / self.batch_size))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Minibatches in this epoch's order."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        order = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, epoch]))
        data = MixedBlocks(self.codes, self.targets, self.batch_size, self.batches, order)
        return DataLoader(data, batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """The rows held out."""
        return [] if self.held_out is None else DataLoader(HeldOut(self.codes, self.held_out.cpu()), batch_size=None)
