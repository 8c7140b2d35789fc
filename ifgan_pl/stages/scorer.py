"""The scorer stage: from labelled images to a scorer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import find
from ifgan_pl.data.labelled import AttributeData
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scorer.training import fit_scorer, scorer_trainer, take_weights


def train_scorer(
    *,
    data: AttributeData,
    out: str = "runs/scorer/scorer.ckpt",
    start: str | None = None,
    resume: bool = False,
    trainer: Mapping[str, Any] | None = None,
    **model: Any,
) -> Path:
    """Train a facial-attribute scorer on labelled images, calibrate it and report on it.

    Args:
        data: the labelled images, a class of ``ifgan_pl.data``.
        out: the scorer; its metrics (JSON) and logs (CSV and TensorBoard) go beside it.
        start: checkpoint of a scorer of the same shape, or the name of a shipped one, whose weights to start from.
        resume: continue an interrupted run from ``checkpoints/last.ckpt`` beside ``out``.
        trainer: flags of the Trainer.
        model: options of :class:`ifgan_pl.scorer.module.FacialAttributeScorer`.
    """
    folder = Path(out).parent
    given = {name: value for name, value in (trainer or {}).items() if value is not None}
    defaults: dict[str, Any] = {"max_epochs": 30, "num_sanity_val_steps": 0, "default_root_dir": folder}
    loggers = [CSVLogger(folder, name="metrics", version=""), TensorBoardLogger(folder, name="tensorboard", version="")]
    defaults |= {"logger": loggers, "use_distributed_sampler": False}
    last = folder / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise UserError(f"nothing to resume: no such file: {last}")
    pl.seed_everything(int(model.get("seed", 0)), verbose=False)
    scorer = FacialAttributeScorer(data.attributes, **model)
    if start is not None:
        take_weights(scorer, load_scorer(find(start, "checkpoints", (".ckpt",))), start)
    fit_scorer(scorer, data, scorer_trainer(defaults | given), out=out, resume=last if resume else None)
    return Path(out)
