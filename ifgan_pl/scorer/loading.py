"""A scorer by name: a checkpoint, a shipped one, or a callable of the user's; and what a manifest says of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import atomic_path
from ifgan_pl.core.resources import find, import_attribute
from ifgan_pl.generators.base import parameter_digest
from ifgan_pl.scorer.module import FacialAttributeScorer

SCORER = "scorer-faces"
"""Name of the shipped scorer."""
BACKBONE = "backbone."
"""How the weights of a scorer's network are called."""
Scorer = Callable[[Tensor], Tensor]


def load_scorer(path: str | Path) -> FacialAttributeScorer:
    """A scorer from a checkpoint, in evaluation mode on the CPU; nothing in the file can run code.

    Args:
        path: a Lightning checkpoint, or a file of :func:`save_heads`.

    Raises:
        UserError: the file is missing, or is no checkpoint of a scorer, or of heads for another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such scorer: {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if "trunk" in checkpoint:
            return _with_trunk(checkpoint).eval()
        return FacialAttributeScorer.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except UserError:
        raise
    except Exception as error:  # unpickling, missing keys and wrong shapes each raise their own
        raise UserError(f"{path} is not a scorer's checkpoint ({str(error).splitlines()[0]})") from None


def save_heads(scorer: FacialAttributeScorer, path: str | Path, trunk: str) -> None:
    """Write a scorer without its network, which is that of another scorer.

    Args:
        scorer: whose ``backbone`` is that of ``trunk``.
        trunk: checkpoint, or name of a shipped one.
    """
    state = {name: value.cpu() for name, value in scorer.state_dict().items() if not name.startswith(BACKBONE)}
    of = {"name": trunk, "digest": parameter_digest(scorer.backbone)}
    with atomic_path(path) as temporary:
        torch.save({"trunk": of, "state_dict": state, "hyper_parameters": dict(scorer.hparams)}, temporary)


def _with_trunk(heads: dict[str, Any]) -> FacialAttributeScorer:
    """The scorer of a file of :func:`save_heads`."""
    name = heads["trunk"]["name"]
    trunk = load_scorer(find(name, "checkpoints", (".ckpt",)))
    if parameter_digest(trunk.backbone) != heads["trunk"]["digest"]:
        raise UserError(f"these heads are for another network than that of {name}: make them again")
    scorer = FacialAttributeScorer(**heads["hyper_parameters"])
    network = {k: value for k, value in trunk.state_dict().items() if k.startswith(BACKBONE)}
    scorer.load_state_dict({**network, **heads["state_dict"]})
    return scorer


def find_scorer(name: str) -> Scorer:
    """A scorer by name.

    Args:
        name: a checkpoint of :class:`ifgan_pl.scorer.module.FacialAttributeScorer`, the name of a shipped one
            (``scorer-faces``), or ``package.module:attribute``: a callable of the user's that takes images
            (N, 3, H, W) in [-1, 1] and gives scores (N, m), or a class whose instances do. It may list the names of its
            scores as ``attributes`` (else they are called after it), their ``kinds`` (binary, continuous), and the
            ``image_size`` at which image files are shown to it.
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
            raise UserError(f"{name} is no scorer of images (2, 3, 256, 256): {error}") from error
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
