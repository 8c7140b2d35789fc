"""What the stages share: who speaks, which scorer, which Trainer, and whether a result is fresh."""

import json
import os
import platform
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.core.micro_batches import numerics_of
from ifgan_pl.core.progress import SampleProgress
from ifgan_pl.core.resources import find, import_attribute
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.base import parameter_digest
from ifgan_pl.generators.compiled import compiler
from ifgan_pl.scorer.module import FacialAttributeScorer, load_scorer
from ifgan_pl.scores.store import changed

SCORER = "scorer-faces"
PRECISIONS = {"32": "float32", "32-true": "float32", "64": "float64", "64-true": "float64"}
PRECISIONS |= {"bf16-true": "bfloat16", "16-true": "float16"}
"""Values of ``--trainer.precision`` that synthesis knows, and the dtype in which it then computes."""
Scorer = Callable[[Tensor], Tensor]


def is_rank_zero() -> bool:
    """Whether this process speaks for all."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def say(message: str) -> None:
    """Tell the user, once."""
    if is_rank_zero():
        print(message, flush=True)


def find_scorer(name: str) -> Scorer:
    """A scorer by name.

    Args:
        name: a checkpoint of :class:`ifgan_pl.scorer.module.FacialAttributeScorer`, the name of a shipped one
            (``scorer-faces``), or ``package.module:attribute``: a callable of the user's that takes pictures
            (N, 3, H, W) in [-1, 1] and gives scores (N, m), or a class whose instances do. It may list the names of its
            scores as ``attributes`` (else they are called after it), their ``kinds`` (binary, continuous), and the
            ``image_size`` at which picture files are shown to it.
    """
    _, colon, attribute = name.partition(":")
    if not colon or Path(name).exists():
        return load_scorer(find(name, "checkpoints", (".ckpt",)))
    found = import_attribute(name, "scorer")
    scorer: Any = found() if isinstance(found, type) else found
    if not hasattr(scorer, "attributes"):
        try:
            columns = scorer(torch.zeros(2, 3, 256, 256)).shape[1]
        except Exception as error:  # the user's code raises whatever it likes
            raise UserError(f"{name} is no scorer of pictures (2, 3, 256, 256): {error}") from error
        scorer.attributes = tuple(f"{attribute}{i}" for i in range(columns)) if columns > 1 else (attribute,)
    callable_: Scorer = scorer
    return callable_


def scorer_inputs(scorer: Scorer, name: str) -> dict[str, Any]:
    """What a manifest says of a scorer."""
    attributes = list(getattr(scorer, "attributes", []))
    kinds = list(getattr(scorer, "kinds", ["continuous"] * len(attributes)))
    fingerprint = parameter_digest(scorer) if isinstance(scorer, nn.Module) else name
    return {"scorer": fingerprint, "attributes": attributes, "kinds": kinds}


def scorer_metrics(scorer: Scorer, name: str) -> dict[str, float]:
    """What training wrote beside a scorer's checkpoint: ``metric/attribute`` on its report rows; {} without a file."""
    if not isinstance(scorer, FacialAttributeScorer):
        return {}
    path = find(name, "checkpoints", (".ckpt",)).with_suffix(".json")
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def open_generator(
    name: str, trainer: pl.Trainer, flags: Mapping[str, Any] | None, *, compile: bool
) -> tuple[Generator, dict[str, Any]]:
    """The generator in the precision that the user's Trainer flags ask for, and the numerics record of its pictures.

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


def launched() -> tuple[int, int] | None:
    """How many processes a node, and nodes, torchrun or SLURM's srun has started; ``None``: this one alone."""
    if TorchElasticEnvironment.detect():
        a_node = int(os.environ["LOCAL_WORLD_SIZE"])
        return a_node, int(os.environ["WORLD_SIZE"]) // a_node
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None


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


def digest_of(path: str) -> str:
    """Fingerprint of a user's file."""
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    return file_digest(path)


def fresh(stage: str, out: str | Path, inputs: Mapping[str, Any], read: Callable[[Path], Mapping[str, Any]]) -> bool:
    """Whether a result carries the fingerprint of these inputs; says so, or names what changed."""
    if not Path(out).exists():
        return False
    try:
        old = dict(read(Path(out)).get("inputs", {}))
    except (UserError, json.JSONDecodeError):
        say(f"{stage}: {out} cannot be read; making it again")
        return False
    differences = changed(old, json.loads(json.dumps(dict(inputs))))
    say(f"{stage}: {'; '.join(differences)}; making it again" if differences else f"{stage}: fresh ({out})")
    return not differences
