"""The scorer stage: from labelled images to a scorer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ifgan_pl.core.resources import find
from ifgan_pl.data.labelled import AttributeData
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.training import fit_scorer, last_checkpoint, new_scorer, scorer_trainer, take_weights


def train_scorer(
    *,
    data: AttributeData,
    out: str = "runs/scorer/scorer.ckpt",
    start: str | None = None,
    resume: bool = False,
    ema: float = 0.998,
    patience: int | None = None,
    trainer: Mapping[str, Any] | None = None,
    **model: Any,
) -> Path:
    """Train a facial-attribute scorer on labelled images, calibrate it and report on it.

    Args:
        data: the labelled images, a class of ``ifgan_pl.data``.
        out: the scorer; its metrics (JSON) and logs (CSV and TensorBoard) go beside it.
        start: checkpoint of a scorer of the same shape, or the name of a shipped one, whose weights to start from.
        resume: continue an interrupted run from ``checkpoints/last.ckpt`` beside ``out``, or from the ``last.ckpt`` of
            a ``ModelCheckpoint`` in ``--trainer.callbacks``.
        ema: decay per step of the exponential moving average of the weights; 0: none. An averaging callback in
            ``--trainer.callbacks`` takes its place.
        patience: epochs without a better loss on the set-aside rows after which training stops, the best weights
            kept; null: train to the end and keep the last. An ``EarlyStopping`` in ``--trainer.callbacks`` takes its
            place; a ``ModelCheckpoint`` there that monitors a value decides which weights are the best.
        trainer: flags of the Trainer.
        model: options of :func:`ifgan_pl.scorer.training.new_scorer`.
    """
    trainer_ = scorer_trainer(trainer or {}, Path(out).parent, ema=ema, patience=patience)
    last = last_checkpoint(trainer_) if resume else None
    scorer = new_scorer(data.attributes, **model)
    if start is not None:
        take_weights(scorer, load_scorer(find(start, "checkpoints", (".ckpt",))), start)
    fit_scorer(scorer, data, trainer_, out=out, resume=last)
    return Path(out)
