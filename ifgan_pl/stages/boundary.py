"""The boundary stage: from codes and scores to a file of hyperplanes, on any number of ranks."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ifgan_pl import __version__
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.boundaries.problem import Solver
from ifgan_pl.boundaries.solvers.moments import Rows
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, write_json
from ifgan_pl.core.messages import say
from ifgan_pl.scores.external import ExternalScores
from ifgan_pl.scores.score_file import ScoreFile, open_scores
from ifgan_pl.scores.store import ScoreStore
from ifgan_pl.stages.launch import join
from ifgan_pl.stages.places import RUN
from ifgan_pl.stages.up_to_date import digest_of, up_to_date

SGD_BATCH, SGD_EPOCHS = 1024, 20
"""Codes of a step and epochs of ``--solver sgd``."""


def boundary(
    *,
    scores: str = f"{RUN}/scores",
    latents: str | None = None,
    attributes: Sequence[str] = (),
    space: Literal["z", "w", "w+"] = "w",
    layers: Sequence[int] = (),
    family: str = "",
    selection: Literal["all", "extremes"] = "all",
    solver: Literal["ridge", "logistic", "squared_hinge", "hinge", "sgd"] = "ridge",
    loss: Literal["logistic", "squared_hinge", "hinge"] | None = None,
    batch_size: int = SGD_BATCH,
    l2: float | dict[str, float] | str = 2.0,
    side_effects: dict[str, dict[str, float]] | None = None,
    refits: int = 10,
    metric: Literal["sqrt", "covariance", "identity"] = "sqrt",
    seed: int = 0,
    out: str = f"{RUN}/boundary.safetensors",
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Fit the boundaries of all attributes at once, on latents that live on the device.

    On several ranks each reads its own blocks of the store (or rows of ``latents``) and sums reduce over them.

    Args:
        scores: a store of `score`, or a file of its scores alone, such as the shipped ffhq-mobile-scores; or, with
            ``latents``, ``<attribute>_scores.npy`` (N, 1) or a CSV with a column an attribute (and ``index`` or
            ``file`` to name rows of the latents).
        latents: codes from elsewhere: ``.npy`` (N, d) or ``.safetensors`` with ``latents``.
        attributes: which columns; by default all.
        space: latent space of ``latents`` (a store knows its own).
        layers: rows of W+ codes that the boundary looks at and its edits move; by default all.
        family: latent family of ``latents``, e.g. stylegan2-ffhq; empty serves any generator of that dimension.
        selection: ``all`` samples, or the paper's ``extremes`` (top and bottom 2 %).
        solver: how the hyperplanes are fitted. All but ``sgd`` are exact, on codes resident on the device; ``sgd`` is a
            LightningModule that streams the blocks of a store, for codes that do not fit: it takes every --trainer
            flag, logs to a folder beside ``out`` and continues there after an interruption.
        loss: of ``sgd``; by default logistic.
        batch_size: of ``sgd``, codes of a step on each rank.
        l2: penalty, relative to the mean variance of a coordinate; one for each attribute in a YAML file or as
            --l2 '{"smile": 2, "age": 4}'; ``cv``: what predicts best (about .1); ``svc``: C = 1.
        side_effects: what edits were measured to move besides their target, in standard deviations per one of the
            target, to be countered: in a YAML file or as --side_effects '{"age": {"eyeglasses": 0.2}}'
            (``benchmarks/side_effects.py`` measures it).
        refits: bootstrap refits, by which the report tells how much of a direction is noise; 0: none. Not with ``sgd``.
        metric: the metric in which directions are least; ``covariance``, ``sqrt`` or ``identity`` (the paper's).
        seed: of the validation split, of the refits and of the order of ``sgd``.
        out: the boundary file.
        trainer: flags of the Lightning Trainer: accelerator, devices and num_nodes for every solver, all for ``sgd``.

    Returns:
        the file.
    """
    ranks = join(trainer)
    if loss is not None and solver != "sgd":
        raise UserError(f"--loss goes with --solver sgd; {solver} is named after its loss")
    if batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, got {batch_size}")
    settings: dict[str, Any] = {
        "selection": selection,
        "solver": solver,
        "l2": l2,
        "metric": metric,
        "seed": seed,
        "layers": list(layers),
        "attributes": list(attributes),
        "refits": 0 if solver == "sgd" else refits,
        **({"side_effects": side_effects} if side_effects else {}),
    }
    if solver == "sgd":
        epochs = (trainer or {}).get("max_epochs") or SGD_EPOCHS
        settings |= {"loss": loss or "logistic", "batch_size": batch_size, "epochs": epochs}
    source: ScoreStore | ScoreFile | ExternalScores
    if latents is None:
        source = open_scores(scores)
        inputs = {**settings, "num": source.num, "scores": json_digest(source.inputs)}
    else:
        source = ExternalScores(latents, scores, space=space, family=family)
        where = {"space": space, "family": family, "num_ws": 1, "truncation": None}
        inputs = {**settings, **where, "scores": digest_of(scores)}
        inputs["latents"] = ranks.first(lambda: digest_of(latents))
    if ranks.first(lambda: up_to_date("boundary", out, inputs, lambda path: LinearBoundary.load(path).provenance)):
        return Path(out)
    how = solver if solver != "sgd" else sgd_solver(settings, inputs, Path(out), trainer, ranks)
    fitted = _fit(source, settings, how, None if solver == "sgd" else device_for(trainer), ranks, inputs)
    if ranks.rank == 0:
        fitted.save(out)
    ranks.barrier()
    say(f"boundary: {', '.join(fitted.attributes)} from {fitted.metrics['samples']} codes in {out}")
    return Path(out)


def _fit(
    source: ScoreStore | ScoreFile | ExternalScores,
    settings: Mapping[str, Any],
    solver: str | Solver,
    device: str | None,
    ranks: Ranks,
    inputs: Mapping[str, Any],
) -> LinearBoundary:
    """Read this rank's codes, or stream them where there is no device to hold them, and fit."""
    codes: Tensor | Rows
    if device is None and isinstance(source, ScoreStore):
        codes, values = source.stream(ranks, layers=settings["layers"] or None)
    else:
        codes, values = source.load(ranks)
        codes = codes.to(device or "cpu")
    names, kinds = list(source.inputs["attributes"]), list(source.inputs["kinds"])
    if settings["attributes"]:
        chosen = [attribute_index(name, names) for name in settings["attributes"]]
        names, values = [names[i] for i in chosen], values[:, chosen]
        kinds = [kinds[i] for i in chosen] if kinds else []
    made_by = source.inputs.get("generator_name")
    return fit_boundary(
        codes,
        values,
        attributes=names,
        kinds=kinds or None,
        **{k: source.inputs[k] for k in ("space", "family", "num_ws", "truncation")},
        layers=settings["layers"] or None,
        **{k: settings[k] for k in ("selection", "l2", "refits", "metric", "seed")},
        solver=solver,
        side_effects=settings.get("side_effects"),
        ranks=ranks,
        provenance={"inputs": inputs, "version": __version__, **({"generator": made_by} if made_by else {})},
    )


def device_for(trainer: Mapping[str, Any] | None) -> str:
    """Where the exact solvers compute: this rank's GPU, unless the flags say ``--trainer.accelerator cpu``."""
    wanted = (trainer or {}).get("accelerator") or "auto"
    return "cuda" if torch.cuda.is_available() and wanted != "cpu" else "cpu"


def sgd_solver(
    settings: Mapping[str, Any], inputs: Mapping[str, Any], out: Path, trainer: Mapping[str, Any] | None, ranks: Ranks
) -> Solver:
    """The minibatch solver, with its folder beside ``out``: emptied first if another request had begun there."""
    from ifgan_pl.boundaries.solvers.sgd import SGD

    folder = out.with_suffix(".sgd")
    if ranks.rank == 0:
        record = folder / "inputs.json"
        begun = record.is_file() and json.loads(record.read_text()) == json.loads(json.dumps(inputs))
        if begun and (folder / "checkpoints" / "last.ckpt").is_file():
            say(f"boundary: continuing from {folder / 'checkpoints' / 'last.ckpt'}")
        elif not begun:
            shutil.rmtree(folder, ignore_errors=True)
            write_json(record, inputs)
    ranks.barrier()
    flags = {**(trainer or {}), "max_epochs": settings["epochs"]}
    options = {k: settings[k] for k in ("loss", "batch_size", "seed")}
    return SGD(**options, trainer=flags, folder=folder)
