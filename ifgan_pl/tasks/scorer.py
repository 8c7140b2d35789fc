"""Fit a scorer from beginning to end: train, select, calibrate, report, save."""

from importlib.metadata import version
from pathlib import Path

import pytorch_lightning as pl
import torch

from ifgan_pl.artefacts import atomic_path, write_json
from ifgan_pl.data.labelled import AttributeData
from ifgan_pl.metrics import metrics_table
from ifgan_pl.scorer import FacialAttributeScorer


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
        data: labelled pictures; ``data.attributes`` must be those of the model.
        trainer: any Trainer; the model adds its own callbacks to it.
        out: where to save the scorer (weights only), with its metrics beside it as JSON; ``None``: nowhere.
        resume: a checkpoint of an interrupted run (``last.ckpt``); it ends with the weights that it would have had.

    Returns:
        ``metric/attribute`` -> value on the report rows.
    """
    if dict(data.attributes) != model.hparams["attributes"]:
        raise ValueError(f"attributes {dict(data.attributes)} expected, got {model.hparams['attributes']}")
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
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
