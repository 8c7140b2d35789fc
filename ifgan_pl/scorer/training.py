"""Fit a scorer from beginning to end: train, select, calibrate, report, save."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from ifgan_pl.core.checkpoint_io import AtomicCheckpointIO
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import write_json
from ifgan_pl.core.progress import StepLog
from ifgan_pl.core.trainer_flags import one_line_refusals
from ifgan_pl.data.labelled import AttributeData
from ifgan_pl.scorer.backbones import TorchvisionBackbone
from ifgan_pl.scorer.metrics import metrics_table
from ifgan_pl.scorer.module import FacialAttributeScorer

log = logging.getLogger(__name__)


def new_scorer(
    attributes: Mapping[str, str], *, weights: str | None = None, compile: bool = False, seed: int = 0, **model: Any
) -> FacialAttributeScorer:
    """A scorer to train.

    Args:
        attributes: name -> ``binary`` or ``continuous``, in the order of the scores.
        weights: name of torchvision's pretrained weights to start from, as ``DEFAULT``; ``None``: from nothing.
        compile: pass the backbone through ``torch.compile``.
        seed: of the first weights, the augmentation, and whatever the network draws in training.
        model: options of :class:`ifgan_pl.scorer.module.FacialAttributeScorer`.

    Raises:
        UserError: the backbone has no such weights, or they cannot be had.
    """
    pl.seed_everything(seed, verbose=False)
    scorer = FacialAttributeScorer(attributes, seed=seed, **model)
    if weights is not None:
        if not isinstance(scorer.backbone, TorchvisionBackbone):
            name = scorer.hparams["backbone"]
            raise UserError(f"backbone {name!r} has no pretrained weights; leave weights out")
        scorer.backbone.load_pretrained(weights)
    if compile:
        scorer.backbone.compile()
    return scorer


def take_weights(scorer: FacialAttributeScorer, source: FacialAttributeScorer, name: str) -> None:
    """Copy weights of a scorer with the same attributes and backbone; calibration starts anew."""
    if source.hparams["attributes"] != scorer.hparams["attributes"]:
        raise UserError(f"{name} scores {', '.join(source.attributes)}, not {', '.join(scorer.attributes)}")
    try:
        scorer.load_state_dict(source.state_dict())
    except RuntimeError:
        theirs, ours = source.hparams["backbone"], scorer.hparams["backbone"]
        raise UserError(f"{name} has another network ({theirs}) than the one to train ({ours})") from None
    scorer.temperature.fill_(1)
    scorer.offset.zero_()


def scorer_trainer(
    flags: Mapping[str, Any], folder: str | Path, *, ema: float = 0.998, patience: int | None = None
) -> pl.Trainer:
    """A Trainer for a scorer: what its flags leave open is filled in, nothing that they name is replaced.

    Without ``sync_batchnorm`` on a CPU, where PyTorch has none.

    Args:
        flags: of ``pl.Trainer``; ``None`` counts as not given.
        folder: of the logs (CSV and TensorBoard, unless ``flags`` has loggers) and of ``checkpoints/``.
        ema, patience: see :func:`training_callbacks`.

    Raises:
        UserError: the Trainer refuses its flags.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    options: dict[str, Any] = {"max_epochs": 30, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    options |= {"default_root_dir": folder} | given
    if "logger" not in given:
        tensorboard = TensorBoardLogger(folder, name="tensorboard", version="")  # adds a file; a CSV would be replaced
        options["logger"] = [CSVLogger(folder, name="metrics"), tensorboard]
    options["callbacks"] = training_callbacks(
        as_list(given.get("callbacks")),
        Path(folder) / "checkpoints",
        ema=ema,
        patience=patience,
        checkpoints=given.get("enable_checkpointing", True),
    )
    if given.get("enable_progress_bar", True):
        options["callbacks"].append(StepLog())
    options["plugins"] = as_list(given.get("plugins"))
    if not any(isinstance(plugin, CheckpointIO) for plugin in options["plugins"]):
        options["plugins"].append(AtomicCheckpointIO())
    with one_line_refusals():
        trainer = pl.Trainer(**options)
        if options.get("sync_batchnorm") and trainer.strategy.root_device.type == "cpu":
            if trainer.world_size > 1 and trainer.is_global_zero:
                log.warning("sync_batchnorm needs GPUs: each rank normalises by its own batch")
            trainer = pl.Trainer(**{**options, "sync_batchnorm": False})
    return trainer


def as_list(value: Any) -> list[Any]:
    """A Trainer flag that takes one thing, several or none, as a new list."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def training_callbacks(
    given: Sequence[Callback], folder: Path, *, ema: float, patience: int | None, checkpoints: bool = True
) -> list[Callback]:
    """The user's callbacks, and those of a scorer's training of which the user has given none of the kind.

    Args:
        given: the user's. A ``ModelCheckpoint`` that names no folder writes into ``folder``.
        folder: of ``last.ckpt``, written every epoch, or where training may stop early, whenever what decides on that
            gets better.
        ema: decay per step of the exponential moving average of the weights; 0: none.
        patience: epochs without a better loss on the set-aside rows after which training stops; ``None``: never.
        checkpoints: whether to write checkpoints.
    """
    callbacks = list(given)
    if patience and not any(isinstance(c, EarlyStopping) for c in callbacks):
        callbacks.append(EarlyStopping("val/loss", patience=patience))
    if ema and not any(isinstance(c, (WeightAveraging, StochasticWeightAveraging)) for c in callbacks):
        callbacks.append(EMAWeightAveraging(decay=ema))
    saving = [c for c in callbacks if isinstance(c, ModelCheckpoint)]
    for callback in saving:
        callback.dirpath = callback.dirpath or os.path.realpath(folder)
    if checkpoints and not saving:
        stopping = next((c for c in callbacks if isinstance(c, EarlyStopping)), None)
        callbacks.append(
            ModelCheckpoint(
                folder,
                filename=None if stopping else "last",
                monitor=stopping.monitor if stopping else None,
                mode=stopping.mode if stopping else "min",
                save_last=bool(stopping),
                enable_version_counter=False,
                save_on_train_epoch_end=None if stopping else True,
            )
        )
    return callbacks


def last_checkpoint(trainer: pl.Trainer) -> Path:
    """The newest ``last*.ckpt`` in the folders of the Trainer's ``ModelCheckpoint`` callbacks.

    Raises:
        UserError: there is none.
    """
    saving = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.dirpath]
    patterns = [(Path(str(c.dirpath)), f"{c.CHECKPOINT_NAME_LAST}*{c.FILE_EXTENSION}") for c in saving]
    found = [path for folder, pattern in patterns for path in folder.glob(pattern)]
    if not found:
        where = ", ".join(str(folder / pattern.replace("*", "")) for folder, pattern in patterns)
        message = f"nothing to resume: no such file: {where or 'last.ckpt'}"
        if not any(c.save_last or c.filename == "last" for c in saving):
            message += "; it is written by a ModelCheckpoint with save_last: true"
        raise UserError(message)
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def fit_scorer(
    model: FacialAttributeScorer,
    data: AttributeData,
    trainer: pl.Trainer,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
) -> dict[str, float]:
    """Train a scorer, calibrate it on the rows set aside, report on the rows that only report.

    Where a ``ModelCheckpoint`` of the Trainer monitors a value, the weights that it calls the best are kept, otherwise
    the last.

    Args:
        model: the scorer; it ends with the averaged, selected, calibrated weights.
        data: labelled images; ``data.attributes`` must be those of the model.
        trainer: as :func:`scorer_trainer` makes it, or any other.
        out: where to save the scorer (weights only), with its metrics beside it as JSON; ``None``: nowhere.
        resume: a checkpoint of an interrupted run (``last.ckpt``); it ends with the weights that it would have had.

    Returns:
        ``metric/attribute`` -> value on the report rows.
    """
    if dict(data.attributes) != model.hparams["attributes"]:
        raise ValueError(f"attributes {dict(data.attributes)} expected, got {model.hparams['attributes']}")
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    if resume is not None:
        state = torch.load(resume, map_location=model.device, weights_only=True)
        if state["global_step"] == trainer.global_step:  # nothing was left to train: Lightning leaves the raw weights
            model.load_state_dict(state["state_dict"])
    saving = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    best = next((c.best_model_path for c in saving if c.monitor and c.best_model_path), None)
    if best:
        model.load_state_dict(torch.load(best, map_location=model.device, weights_only=True)["state_dict"])
    with weights_as_they_are(trainer):
        trainer.validate(model, datamodule=data, verbose=False)
        assert model.evaluated is not None
        model.calibrate(*model.evaluated)
        results = trainer.test(model, datamodule=data, verbose=False)[0]
    metrics = {name.removeprefix("test/"): float(value) for name, value in results.items()}
    if out is not None:
        trainer.save_checkpoint(out, weights_only=True)
        if trainer.is_global_zero:
            write_json(Path(out).with_suffix(".json"), metrics)
    if trainer.is_global_zero:
        print(metrics_table(metrics, model.hparams["attributes"]))
    return metrics


@contextmanager
def weights_as_they_are(trainer: pl.Trainer) -> Iterator[None]:
    """Within this, no callback exchanges the weights for their last average, as it would in every validation."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    trainer.callbacks = [c for c in callbacks if not isinstance(c, WeightAveraging)]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
