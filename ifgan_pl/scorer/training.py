"""Fit a scorer from beginning to end: train, select, calibrate, report, save."""

import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import atomic_path, write_json
from ifgan_pl.data.labelled import AttributeData
from ifgan_pl.scorer.metrics import metrics_table
from ifgan_pl.scorer.module import FacialAttributeScorer

log = logging.getLogger(__name__)


def scorer_trainer(flags: Mapping[str, Any]) -> pl.Trainer:
    """A Trainer of these flags; without ``sync_batchnorm`` on a CPU, where PyTorch has none."""
    trainer = pl.Trainer(**flags)
    if flags.get("sync_batchnorm") and trainer.strategy.root_device.type == "cpu":
        if trainer.world_size > 1 and trainer.is_global_zero:
            log.warning("sync_batchnorm needs GPUs: each rank normalises by its own batch")
        trainer = pl.Trainer(**{**flags, "sync_batchnorm": False})
    return trainer


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


def fit_scorer(
    model: FacialAttributeScorer,
    data: AttributeData,
    trainer: pl.Trainer,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
) -> dict[str, float]:
    """Train a scorer, calibrate it on the rows set aside, report on the rows that only report.

    Args:
        model: the scorer; it ends with the averaged, selected, calibrated weights.
        data: labelled images; ``data.attributes`` must be those of the model.
        trainer: any Trainer; the model adds its own callbacks to it.
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
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if model.hparams["patience"] and best:
        state = torch.load(best, map_location=model.device, weights_only=True)["state_dict"]
        model.load_state_dict(state)
    trainer.validate(model, datamodule=data, verbose=False)
    assert model.evaluated is not None
    model.calibrate(*model.evaluated)
    results = trainer.test(model, datamodule=data, verbose=False)[0]
    metrics = {name.removeprefix("test/"): float(value) for name, value in results.items()}
    if out is not None:
        save_scorer(model, out, trainer)
        if trainer.is_global_zero:
            write_json(Path(out).with_suffix(".json"), metrics)
    if trainer.is_global_zero:
        print(metrics_table(metrics, model.hparams["attributes"]))
    return metrics


def save_scorer(model: FacialAttributeScorer, path: str | Path, trainer: pl.Trainer) -> None:
    """Write a Lightning checkpoint of weights and hyperparameters, atomically; it loads with ``weights_only=True``."""
    checkpoint = {
        "state_dict": {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()},
        "hyper_parameters": dict(model.hparams),
        "hparams_name": "kwargs",
        "pytorch-lightning_version": version("pytorch-lightning"),
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
    }
    if trainer.is_global_zero:
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)
