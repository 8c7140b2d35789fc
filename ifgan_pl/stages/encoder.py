"""The encoder stage: from the generator's own faces, and photographs, to an encoder of faces."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.checkpoint_io import AtomicCheckpointIO
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import atomic_path, file_digest
from ifgan_pl.core.messages import say
from ifgan_pl.core.progress import StepLog
from ifgan_pl.core.resources import find
from ifgan_pl.core.trainer_flags import one_line_refusals
from ifgan_pl.generators.loading import cast_synthesis, load_mobile
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.photos.aligned import aligned_photos
from ifgan_pl.photos.encoder import FaceEncoder, encoder_state, is_encoder, load_encoder
from ifgan_pl.photos.encoder_pairs import BLOCK, make_pairs
from ifgan_pl.photos.encoder_training import EncoderTask, new_encoder
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.scorer.loading import SCORER, load_scorer
from ifgan_pl.stages.launch import join
from ifgan_pl.stages.trainer import emulates_bfloat16


def encoder(
    *,
    out: str = "runs/encoder/encoder.ckpt",
    pairs: int = 30720,
    photos: str | None = None,
    most_photos: int | None = None,
    start: str | None = SCORER,
    pair_steps: int = 3000,
    photo_steps: int = 1000,
    pair_batch: int = 64,
    photo_batch: int = 16,
    epoch_steps: int = 100,
    lr: float = 1e-3,
    seed: int = 1,
    resume: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Train an encoder from aligned faces to W+ codes of ffhq-mobile.

    Args:
        out: the encoder; pairs, aligned photographs, logs and checkpoints go beside it.
        pairs: faces that the generator makes to learn from, once, a multiple of 64; 60 kB each.
        photos: folder of photographs, whose largest faces the last photo_steps learn from too; null: none.
        most_photos: of them to look at, the first ones; null: all.
        start: an encoder to train further, as encoder-faces, or a scorer of the backbone `fine`, whose network a new
            encoder takes; null: from nothing.
        pair_steps: steps on pairs, by their codes.
        photo_steps: steps on pairs and photographs, by what their codes look like.
        pair_batch: faces of a step of the first kind, shared out over the ranks.
        photo_batch: faces of a step of the second kind, half of them photographs.
        epoch_steps: steps between two validations, each of which writes a checkpoint.
        lr: peak learning rate.
        seed: of the faces, the weights, their order and their disturbances.
        resume: continue an interrupted run from checkpoints/last.ckpt beside out; pairs that are there are kept anyway.
        trainer: flags of the Trainer.

    Returns:
        the file.
    """
    if pairs % BLOCK or pairs <= BLOCK // 2:
        raise UserError(f"--pairs {pairs} must be a multiple of {BLOCK}")
    ranks = join(trainer)
    for name, batch in (("pair_batch", pair_batch), ("photo_batch", photo_batch)):
        if batch % (2 * ranks.size):
            raise UserError(f"--{name} {batch} must be a multiple of twice the {ranks.size} ranks")
    folder = Path(out).parent
    last = folder / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise UserError(f"nothing to resume: no such file: {last}")
    generator, fast = load_mobile(), load_mobile()
    if torch.cuda.is_available() or not emulates_bfloat16():
        cast_synthesis(fast, torch.bfloat16)
    made = make_pairs(generator, fast, load_sface(), folder / "pairs", count=pairs, seed=seed, ranks=ranks)
    aligned = (
        aligned_photos(Path(photos), folder / "photos", most=most_photos, ranks=ranks) if photos is not None else None
    )
    task = EncoderTask(
        starting(start, generator, seed),
        fast,
        made,
        aligned,
        pair_steps=pair_steps,
        photo_steps=photo_steps,
        pair_batch=pair_batch,
        photo_batch=photo_batch,
        lr=lr,
        seed=seed,
    )
    steps = pair_steps + photo_steps
    fitting = encoder_trainer(trainer, folder, steps)
    train, val = (DataLoader(cast("Dataset[int]", range(n)), batch_size=None) for n in (min(epoch_steps, steps), 1))
    fitting.fit(task, train, val, ckpt_path=last if resume else None, weights_only=True)
    if fitting.is_global_zero:
        provenance = {
            "generator": generator.fingerprint,
            "start": None if start is None else file_digest(find(start, "checkpoints", (".ckpt",))),
            "pairs": pairs,
            "photographs": 0 if aligned is None else len(aligned),
            "pair_steps": pair_steps,
            "photo_steps": photo_steps,
            "seed": seed,
            "validation": {name: round(float(v), 4) for name, v in fitting.callback_metrics.items() if "val/" in name},
        }
        with atomic_path(out) as temporary:
            torch.save(encoder_state(task.encoder, provenance), temporary)
    say(f"encoder: {out}")
    return Path(out)


def starting(start: str | None, generator: MobileStyleGAN, seed: int) -> FaceEncoder:
    """The encoder to train, from an encoder's file, from a scorer's or from nothing."""
    if start is None:
        return new_encoder(generator, None, seed=seed)
    path = find(start, "checkpoints", (".ckpt",))
    if is_encoder(path):
        return load_encoder(path).requires_grad_().train()
    return new_encoder(generator, load_scorer(path), seed=seed)


def encoder_trainer(flags: Mapping[str, Any] | None, folder: Path, steps: int) -> pl.Trainer:
    """A Trainer of the user's flags, callbacks and loggers, with a checkpoint for each epoch."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    if given.get("max_steps") == -1:  # the Trainer's own default: no limit
        del given["max_steps"]
    callbacks = given.get("callbacks", [])
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    if given.get("enable_checkpointing", True) and not any(isinstance(c, ModelCheckpoint) for c in callbacks):
        place = folder / "checkpoints"
        callbacks.append(ModelCheckpoint(place, filename="last", enable_version_counter=False))
    if given.get("enable_progress_bar", True):
        callbacks.append(StepLog())
    defaults: dict[str, Any] = {
        "max_steps": steps,
        "gradient_clip_val": 1.0,
        "logger": CSVLogger(folder, name="metrics"),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 20,
        "default_root_dir": folder,
        "plugins": [AtomicCheckpointIO()],
    }
    with one_line_refusals():
        return pl.Trainer(**(defaults | given | {"use_distributed_sampler": False, "callbacks": callbacks}))
