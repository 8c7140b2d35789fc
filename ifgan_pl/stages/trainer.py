"""What the stages share: who speaks, which scorer, which Trainer, and whether a result is up to date."""

import platform
import warnings
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.messages import is_rank_zero
from ifgan_pl.core.numerics import numerics_of
from ifgan_pl.core.progress import SampleProgress
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
    """A Trainer for ``predict``: no logger, no checkpoints, a progress bar in samples; ``flags`` are the user's.

    The precision is :func:`open_generator`'s: Lightning's would cast the scorer too, and the default dtype of tensors.
    """
    defaults: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    given = {k: v for k, v in (flags or {}).items() if v is not None and k != "precision"}
    show = given.get("enable_progress_bar", True)
    given["enable_progress_bar"] = False
    callbacks = [SampleProgress(progress)] if show else []
    given |= {"callbacks": callbacks, "use_distributed_sampler": False}
    try:
        return pl.Trainer(**(defaults | given))
    except (
        MisconfigurationException,
        ImportError,
        ValueError,
        RuntimeError,
    ) as error:  # no such device, srun with other numbers …
        raise UserError(f"the Trainer refuses its flags: {error}") from None
