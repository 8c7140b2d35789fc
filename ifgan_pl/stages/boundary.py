"""The boundary stage: from codes and scores to a file of hyperplanes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ifgan_pl import __version__
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.files import json_digest
from ifgan_pl.core.messages import say
from ifgan_pl.scores.external import read_labels, read_latents
from ifgan_pl.scores.score_file import open_scores
from ifgan_pl.stages.places import RUN
from ifgan_pl.stages.up_to_date import digest_of, up_to_date


def boundary(
    *,
    scores: str = f"{RUN}/scores",
    latents: str | None = None,
    attributes: Sequence[str] = (),
    space: str = "w",
    layers: Sequence[int] = (),
    family: str = "",
    selection: str = "all",
    solver: str = "ridge",
    l2: float | dict[str, float] | str = 2.0,
    side_effects: dict[str, dict[str, float]] | None = None,
    metric: str = "sqrt",
    seed: int = 0,
    out: str = f"{RUN}/boundary.safetensors",
) -> Path:
    """Fit the boundaries of all attributes at once, on latents that live on the device.

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
        solver: how the hyperplanes are fitted.
        l2: penalty, relative to the mean variance of a coordinate; one for each attribute in a YAML file or as
            --l2 '{"smile": 2, "age": 4}'; ``cv``: what predicts best (about .1); ``svc``: C = 1.
        side_effects: what edits were measured to move besides their target, in standard deviations per one of the
            target, to be countered: in a YAML file or as --side_effects '{"age": {"eyeglasses": 0.2}}'
            (``benchmarks/side_effects.py`` measures it).
        metric: the metric in which directions are least; ``covariance``, ``sqrt`` or ``identity`` (the paper's).
        seed: of the validation split.
        out: the boundary file.

    Returns:
        the file.
    """
    settings = {
        "selection": selection,
        "solver": solver,
        "l2": l2,
        "metric": metric,
        "seed": seed,
        "layers": list(layers),
        "attributes": list(attributes),
        **({"side_effects": side_effects} if side_effects else {}),
    }
    if latents is None:
        store = open_scores(scores)
        where: dict[str, Any] = {k: store.inputs[k] for k in ("space", "family", "num_ws", "truncation")}
        inputs = {**settings, "num": store.num, "scores": json_digest(store.inputs)}
    else:
        where = {"space": space, "family": family, "num_ws": 1, "truncation": None}
        inputs = {**settings, **where, "latents": digest_of(latents), "scores": digest_of(scores)}
    if up_to_date("boundary", out, inputs, lambda path: LinearBoundary.load(path).provenance):
        return Path(out)
    if latents is None:
        codes, values = store.load()
        names, kinds = list(store.inputs["attributes"]), list(store.inputs["kinds"])
    else:
        codes = read_latents(latents)
        where["num_ws"] = codes.shape[1] if codes.ndim == 3 else 1
        names, values = read_labels(scores, len(codes))
        kinds = []
    if attributes:
        chosen = [attribute_index(a, names) for a in attributes]
        names, values = [names[i] for i in chosen], values[:, chosen]
        kinds = [kinds[i] for i in chosen] if kinds else []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fitted = fit_boundary(
        codes.to(device),
        values.to(device),
        attributes=names,
        kinds=kinds or None,
        **where,
        layers=list(layers) or None,
        selection=selection,
        solver=solver,
        l2=l2,
        side_effects=side_effects,
        metric=metric,
        seed=seed,
        provenance={
            "inputs": inputs,
            "version": __version__,
            **({"generator": store.inputs["generator_name"]} if latents is None else {}),
        },
    )
    fitted.save(out)
    say(f"boundary: {', '.join(fitted.attributes)} from {len(codes)} codes in {out}")
    return Path(out)
