"""The Trainer and the generator of the stages that predict."""

import platform
import warnings
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ProgressBar

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.messages import is_rank_zero
from ifgan_pl.core.numerics import numerics_of
from ifgan_pl.core.progress import SampleProgress
from ifgan_pl.core.trainer_flags import one_line_refusals
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.compiled import compiler

PRECISIONS = {"32": "float32", "32-true": "float32", "64": "float64", "64-true": "float64"}
PRECISIONS |= {"bf16-true": "bfloat16", "16-true": "float16"}
"""Values of ``--trainer.precision`` that synthesis knows, and the dtype in which it then computes."""


def open_generator(
    name: str, trainer: pl.Trainer, flags: Mapping[str, Any] | None, *, compile: bool
) -> tuple[Generator, dict[str, Any]]:
    """The generator in the precision that the user's Trainer flags ask for, and the numerics record of its images.

    Raises:
        UserError: a precision that synthesis has not, or what :func:`load_generator` refuses.
    """
    asked = str((flags or {}).get("precision") or "32-true")
    if asked not in PRECISIONS:
        raise UserError(f"--trainer.precision {asked}: synthesis knows {', '.join(PRECISIONS)}")
    dtype: torch.dtype = getattr(torch, PRECISIONS[asked])
    device = trainer.strategy.root_device
    if dtype == torch.float16 and device.type == "cpu":
        raise UserError("--trainer.precision 16-true needs a GPU; on a CPU take bf16-true")
    if dtype == torch.bfloat16 and device.type == "cpu" and emulates_bfloat16() and is_rank_zero():
        warnings.warn("this CPU emulates bfloat16: synthesis in float32 is ten times as fast", stacklevel=2)
    generator = load_generator(name, dtype=dtype, compile=compile)
    return generator, numerics_of(device, dtype, compiled=compile and compiler()).as_dict()


def emulates_bfloat16() -> bool:
    """Whether this CPU is an x86 without AVX-512, in which PyTorch computes bfloat16 by way of float32."""
    return platform.machine() in ("x86_64", "AMD64") and "AVX512" not in torch.backends.cpu.get_cpu_capability()


def make_trainer(flags: Mapping[str, Any] | None, progress: str) -> pl.Trainer:
    """A Trainer for ``predict``. Unless the user wants others: no logger, no checkpoints, a progress bar in samples.

    The precision is :func:`open_generator`'s: Lightning's would cast the scorer too, and the default dtype of tensors.

    Args:
        flags: the user's, of the Trainer; their callbacks and loggers are kept.
        progress: what is being done, for the bar.

    Raises:
        UserError: flags that the Trainer refuses, such as a device that is not there.
    """
    given = {k: v for k, v in (flags or {}).items() if v is not None and k != "precision"}
    users = given.get("callbacks") or []
    users = [users] if isinstance(users, pl.Callback) else list(users)
    own_bar = any(isinstance(callback, ProgressBar) for callback in users)
    bars = [SampleProgress(progress)] if given.get("enable_progress_bar", True) and not own_bar else []
    defaults: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in users),
        "enable_model_summary": False,
    }
    needed = {
        "callbacks": [*users, *bars],
        "enable_progress_bar": own_bar and given.get("enable_progress_bar", True),
        "use_distributed_sampler": False,
    }
    with one_line_refusals():
        return pl.Trainer(**(defaults | given | needed))
