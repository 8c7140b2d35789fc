"""Boundaries by minibatch gradient descent, for latents that are read once an epoch from wherever they lie."""

from typing import Any, Unpack

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.boundaries.solvers import Options, Solution
from ifgan_pl.boundaries.solvers.losses import LOSSES, masked_loss
from ifgan_pl.boundaries.solvers.newton import Moments, moments


class BoundaryTask(pl.LightningModule):
    """Fit m hyperplanes by stochastic gradient descent with momentum in whitened coordinates.

    W is strongly anisotropic: in its own coordinates gradient descent would need thousands of epochs. A batch is
    ``(codes (B, d), targets (B, m), weights (B, m))``, NaN targets are missing.

    Args:
        dim: d.
        models: m.
        loss: ``squared``, ``logistic``, ``squared_hinge`` or ``hinge``.
        l2: penalty on ``|w|²/2``, of all or (m,) of each.
        lr: peak learning rate, relative to what is stable for the loss' curvature.
    """

    mean: Tensor
    whitening: Tensor
    penalty: Tensor

    def __init__(self, dim: int, models: int, loss: str = "logistic", l2: float = 1e-2, lr: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        if loss not in LOSSES:
            raise ValueError(f"loss of {', '.join(LOSSES)} expected, got {loss!r}")
        self.loss, self.lr = loss, lr
        self.directions = nn.Parameter(torch.zeros(models, dim))
        self.offsets = nn.Parameter(torch.zeros(models))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("whitening", torch.eye(dim))
        self.register_buffer("penalty", torch.full((models,), float(l2)))

    def whiten(self, statistics: Moments) -> None:
        """Take the coordinates in which codes of these moments, penalty included, are white."""
        values, vectors = statistics.spectrum
        spread = values + float(self.penalty.mean()) / CURVATURE[self.loss]
        self.mean.copy_(statistics.mean)
        self.whitening.copy_(vectors * spread.rsqrt())

    @property
    def weights(self) -> Tensor:
        """(m, d) normals of the hyperplanes in the coordinates of the codes."""
        return self.directions @ self.whitening.mT

    def forward(self, codes: Tensor) -> Tensor:
        """Decision values: (N, d) -> (N, m)."""
        return (codes - self.mean) @ self.weights.mT + self.offsets

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        codes, targets, weights = batch
        penalty = self.penalty / 2 * self.weights.square().sum(1)
        loss = (masked_loss(self.loss, self(codes), targets, weights) + penalty).sum()
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        peak = self.lr / CURVATURE[self.loss]
        optimizer = torch.optim.SGD(self.parameters(), lr=peak, momentum=0.9)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def solution(self) -> Solution:
        """The hyperplanes as the exact solvers return them."""
        weights = self.weights.detach().double()
        biases = self.offsets.detach().double() - weights @ self.mean.double()
        finite = weights.isfinite().all(1).tolist()  # it diverges or ends where its schedule does
        return Solution(weights, biases, {"l2": self.penalty.tolist(), "converged": finite})


CURVATURE = {"squared": 1.0, "logistic": 0.25, "squared_hinge": 2.0, "hinge": 1.0}
"""The largest curvature of each loss; of the hinge, that of a parabola of the margin's width."""


class Blocks(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Batches of contiguous rows, so that a mapped file is read in long runs; their order is for the loader to mix."""

    def __init__(self, codes: Tensor, targets: Tensor, weights: Tensor | None, batch_size: int) -> None:
        self.codes, self.targets, self.batch_size = codes, targets, batch_size
        self.weights = None if weights is None else weights.reshape(len(codes), -1).expand_as(targets)

    def __len__(self) -> int:
        return -(-len(self.codes) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        targets = self.targets[rows]
        weights = torch.ones_like(targets) if self.weights is None else self.weights[rows]
        return self.codes[rows], targets, weights


def sgd(
    codes: Tensor,
    targets: Tensor,
    *,
    l2: float | Tensor,
    loss: str = "logistic",
    epochs: int = 20,
    batch_size: int = 1024,
    lr: float = 0.5,
    seed: int = 0,
    trainer: dict[str, Any] | None = None,
    **options: Unpack[Options],
) -> Solution:
    """A solver of :mod:`ifgan_pl.boundaries.solvers`' signature that sees the codes a batch at a time.

    Rows are taken in contiguous batches whose order is mixed: rows should not be sorted by score.

    Args:
        codes: (N, d) floating, on the CPU or in a mapped file.
        targets: (N, m), as the loss takes them; NaN: missing.
        l2, options: as of the exact solvers; ``weights`` and ``statistics`` are used.
        loss, lr: of :class:`BoundaryTask`.
        epochs, batch_size: how long and in what parts.
        seed: of the order of batches.
        trainer: arguments of ``Trainer``.
    """
    task = BoundaryTask(codes.shape[1], targets.shape[1], loss, lr=lr)
    task.penalty.copy_(torch.as_tensor(l2))
    task.whiten(options.get("statistics") or moments(codes))
    blocks = Blocks(codes.cpu(), targets.float().cpu(), options.get("weights"), batch_size)
    order = torch.Generator().manual_seed(int(np.random.default_rng(seed).integers(2**31)))
    loader = DataLoader(blocks, batch_size=None, shuffle=True, generator=order)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    pl.Trainer(max_epochs=epochs, **{**quiet, **(trainer or {})}).fit(task, loader)
    return task.cpu().solution()
