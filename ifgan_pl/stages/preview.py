"""The preview stage: train the cheap preview head of ``ffhq-mobile``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from ifgan_pl.core.messages import say
from ifgan_pl.core.trainer_flags import one_line_refusals
from ifgan_pl.generators.loading import load_mobile
from ifgan_pl.generators.preview import PreviewTask, train_preview
from ifgan_pl.scorer.loading import SCORER, find_scorer
from ifgan_pl.stages.launch import join


def preview(
    *,
    out: str = "runs/preview/ffhq-mobile.safetensors",
    scorer: str = SCORER,
    steps: int = 1000,
    batch_size: int = 32,
    seed: int = 1,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Train the preview head of ffhq-mobile: 128² images from its 64² hidden layer, for scoring.

    Args:
        out: file of the centre of truncation and the head; as checkpoints/ffhq-mobile.safetensors it is used.
        scorer: whose scores of the preview and of the full image should agree; as in `score`, but differentiable.
        steps: of training, each on new faces synthesised in full: 1000 take minutes on a GPU, hours on two cores.
        batch_size: faces of a step, shared out over the ranks.
        seed: of the faces and the weights.
        trainer: flags of the Trainer; by default bf16-mixed on a GPU, and gradients clipped to norm 1.

    Returns:
        the file.
    """
    join(trainer)
    pl.seed_everything(seed, verbose=False)
    task = PreviewTask(load_mobile(), find_scorer(scorer), batch_size=batch_size, seed=seed)
    train_preview(task, preview_trainer(trainer, Path(out).parent), out, steps=steps)
    say(f"preview: {out}")
    return Path(out)


def preview_trainer(flags: Mapping[str, Any] | None, folder: Path) -> pl.Trainer:
    """A Trainer of the user's flags, callbacks and loggers; without them it writes nothing into ``folder``."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    callbacks = given.get("callbacks", [])
    callbacks = callbacks if isinstance(callbacks, Sequence) else [callbacks]
    on_gpu = torch.cuda.is_available() and given.get("accelerator", "auto") != "cpu"
    defaults: dict[str, Any] = {
        "max_epochs": 1,
        "precision": "bf16-mixed" if on_gpu else "32-true",
        "gradient_clip_val": 1.0,
        "logger": False,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
    }
    with one_line_refusals():
        return pl.Trainer(**(defaults | given | {"use_distributed_sampler": False}))
