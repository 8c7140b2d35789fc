"""The gradients stage: how the scores of images answer to the code, added to a boundary file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.gradients import score_gradients, with_gradients
from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest
from ifgan_pl.core.messages import is_rank_zero, say
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import device_of, sample_codes
from ifgan_pl.report.response import response, untangled
from ifgan_pl.scorer.loading import SCORER, find_scorer, scorer_inputs
from ifgan_pl.scores.score_samples import score_codes
from ifgan_pl.stages.boundary import device_for
from ifgan_pl.stages.launch import join
from ifgan_pl.stages.places import RUN
from ifgan_pl.stages.up_to_date import up_to_date

FACES_SEED = 1_000_003
"""Stream of the faces: not one that a user scores."""
ROUNDS = (1 / 8, 3 / 8)
"""Of edits that are measured and corrected, as shares of the faces: what the first gets wrong the second takes back."""
SIDE = 128
"""Least side of the images: the preview's."""


def gradients(
    *,
    boundary: str = f"{RUN}/boundary.safetensors",
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    faces: int = 128,
    side_effects: dict[str, dict[str, float]] | None = None,
    out: str | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Measure how scores answer to the code, through the generator; edits by the boundary then follow that.

    Hyperplanes know what faces with an attribute have in common. Gradients know what changes it: edits along them
    are shorter, keep the person and the background, and part the rows of W+. On two cores half a minute.

    Args:
        boundary: a boundary file in Z or W.
        generator: whose codes these are.
        scorer: differentiable, see `score`; attributes that it does not know go on following their hyperplanes.
        faces: to look at; half as many more show what a whole standard deviation moves besides. 0: forget what was
            measured, edits follow the hyperplanes.
        side_effects: what others than the scorer saw such edits move besides their target, in standard deviations per
            one of the target, to be countered: in a YAML file or as --side_effects '{"eyeglasses": {"age": -0.1}}'.
        out: the boundary file with gradients; by default in the place of the one without.
        trainer: flags of the Trainer, of which only accelerator is looked at; rank 0 computes alone.

    Returns:
        the file.
    """
    join(trainer)
    place = Path(out or boundary)
    if faces < 0:
        raise UserError(f"--faces must be at least 0, got {faces}")
    if is_rank_zero():
        given = LinearBoundary.load(boundary)
        plain = given.replaced(gradients=None, spread=None, response=None)
        if not faces:
            if given.gradients is not None or place != Path(boundary):
                plain.save(place)
            return place
        for target, besides in (side_effects or {}).items():
            for name in (target, *besides):
                plain.index(name)
        model, judge = load_generator(generator, device=device_for(trainer)), find_scorer(scorer)
        inputs = {"faces": faces, "generator": model.fingerprint, "side_effects": side_effects or {}}
        inputs |= {"scorer": scorer_inputs(judge, scorer)["scorer"], "boundary": without_gradients(plain)}
        begun = place.exists() and LinearBoundary.load(place).gradients is not None
        if not begun or not up_to_date("gradients", place, inputs, recorded):
            provenance = {**plain.provenance, "gradients": {"inputs": inputs}}
            found = measured(plain.replaced(provenance=provenance), model, judge, faces, side_effects or {})
            found.save(place)
            say(f"gradients: {place}")
    return place


def without_gradients(boundary: LinearBoundary) -> str:
    """Digest of a boundary that does not change when gradients are added to it."""
    provenance = {key: value for key, value in boundary.provenance.items() if key != "gradients"}
    return json_digest([provenance, boundary.attributes, boundary.normals.double().sum(1).tolist()])


def recorded(path: Path) -> Mapping[str, Any]:
    """What a boundary file says of its gradients."""
    return dict(LinearBoundary.load(path).provenance.get("gradients", {}))


def measured(
    boundary: LinearBoundary, generator: Generator, scorer: Any, faces: int, seen: Mapping[str, Mapping[str, float]]
) -> LinearBoundary:
    """The boundary with gradients and response.

    Raises:
        UserError: a boundary in W+, or a scorer that knows none of its attributes.
    """
    if boundary.space == "w+":
        raise UserError("gradients are measured for boundaries in Z and W, whose edits may then move each row of W+")
    names = {canonical(name): i for i, name in enumerate(scorer.attributes)}
    columns = {name: names[canonical(name)] for name in boundary.attributes if canonical(name) in names}
    if not columns:
        raise UserError(f"the scorer gives {', '.join(scorer.attributes)}, none of which the boundary has")
    if isinstance(scorer, torch.nn.Module):
        scorer.to(device_of(generator)).eval()
    truncation = 1.0 if boundary.truncation is None else boundary.truncation
    resolution = min([r for r in generator.resolutions if r >= SIDE] or [generator.img_resolution])
    rounds = [max(1, int(faces * share)) for share in ROUNDS]
    codes = sample_codes(
        generator, range(faces + sum(rounds)), seed=FACES_SEED, space=boundary.space, truncation=truncation
    )
    options: dict[str, Any] = {"truncation": truncation, "resolution": resolution}
    scorer = on_its_scale(boundary, generator, scorer, codes[:faces], columns, **options)
    found, probes = score_gradients(
        generator, scorer, codes[:faces], columns=list(columns.values()), space=boundary.space, **options
    )
    whole = with_gradients(boundary, found, probes, names=list(columns))
    for others in torch.split(codes[faces:], rounds):
        moved = untangled(whole, response(Editor(generator, whole), scorer, others, columns=columns, **options))
        whole = whole.cpu().replaced(response=moved)
    for target, besides in seen.items():
        for name, movement in besides.items():
            moved[whole.index(target), whole.index(name)] += movement
    return whole.replaced(response=moved)


def on_its_scale(
    boundary: LinearBoundary,
    generator: Generator,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    columns: Mapping[str, int],
    **options: Any,
) -> Callable[[Tensor], Tensor]:
    """The scorer, whose scores of attributes that labels added have the standard deviation that the boundary knows.

    Heads that see codes are surer than those that see an image, and what is surer has larger logits.

    Args:
        boundary, generator, scorer: as for :func:`measured`.
        codes: (N, d) faces to compare on.
        columns: attribute -> column of the scores.
        options: of :func:`ifgan_pl.scores.score_samples.score_codes`.
    """
    added = {name: column for name, column in columns.items() if name not in boundary.core}
    if not added:
        return scorer
    with torch.no_grad():
        seen = score_codes(generator, scorer, codes, space=boundary.space, **options)
    factors = torch.ones(seen.shape[1])
    for name, column in added.items():
        factors[column] = boundary.score_std[boundary.index(name)].cpu() / seen[:, column].std().cpu()
    return lambda images: scorer(images) * factors.to(images)
