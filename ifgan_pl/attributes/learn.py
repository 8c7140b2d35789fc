"""From answers to attributes of a boundary: each head scores all faces, and its scores are fitted as any others."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.attributes.faces import Faces
from ifgan_pl.attributes.head import Design, Head, Quality, fit_head
from ifgan_pl.attributes.labels import Answers
from ifgan_pl.boundaries.bootstrap import stability
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.boundaries.joined import joined
from ifgan_pl.boundaries.solvers import ridge
from ifgan_pl.boundaries.solvers.moments import moments
from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest

L2 = 3.0
"""Penalty of the hyperplanes, relative to the mean variance of a coordinate of the codes."""
STEADY = 0.9
"""Cosine between the directions of two independent sets of answers at which more are said to change little."""


@dataclass(frozen=True)
class Learned:
    """An attribute, and how far to trust it.

    Attributes:
        head: its score.
        scores: (n,) of all faces.
        linearity: r² between its scores and the linear model, on faces outside the fit.
        cosine: expected between the directions of two independent sets of as many answers.
        answers_wanted: how many of which two sets would agree to :data:`STEADY`; infinite where all is noise.
    """

    head: Head
    scores: Tensor
    linearity: float
    cosine: float
    answers_wanted: float

    def __str__(self) -> str:
        quality = self.head.quality
        more = self.answers_wanted - quality.answers
        wanted = (
            "more answers would turn its direction little"
            if more <= 0
            else f"about {_rounded(more)} more would turn it little"
            if more < 1e5
            else "how many more are needed cannot be told yet"
        )
        return (
            f"{quality}, {quality.half:.3f} with half of them; linear to r² {self.linearity:.2f}; two such sets of "
            f"answers would agree on its direction to a cosine of {self.cosine:.2f}; {wanted}"
        )


def attributes_from_labels(
    boundary: LinearBoundary,
    faces: Faces,
    labels: Mapping[str, Answers],
    *,
    labelled: Faces | None = None,
    replace: bool = False,
    l2: float = L2,
    seed: int = 0,
) -> tuple[LinearBoundary, dict[str, Learned]]:
    """Add attributes to a boundary from a few answers; no files, no Trainer, some seconds.

    Args:
        boundary: what they are added to.
        faces: samples of its generator, with codes; some thousand are enough.
        labels: attribute -> answers about ``faces`` by their position: 0 and 1, or any numbers.
        labelled: other faces that the answers are about, such as photographs
            (:func:`ifgan_pl.attributes.faces.features_of_files`); ``None``: ``faces`` themselves.
        replace: attributes of these names that the boundary has are fitted anew.
        l2: penalty of the hyperplanes.
        seed: of folds and resamples.

    Returns:
        the boundary with the new attributes, and what was found of each.

    Raises:
        UserError: a name that is there, answers that are too few, all alike, or noise, or codes of another space.
    """
    if faces.codes is None:
        raise UserError("hyperplanes are fitted to samples of a generator: image files have no codes")
    taken = [name for name in labels if canonical(name) in map(canonical, boundary.attributes)]
    if taken and not replace:
        raise UserError(f"the boundary has {', '.join(taken)} already: choose another --name, or give --replace")
    if not labels:
        raise UserError("no attribute to learn: name one, with answers")
    boundary.check_codes(faces.codes, space=faces.inputs["space"], family=faces.inputs["family"])
    design = Design(faces)
    heads = {n: fit_head(labelled or faces, a, design=design, name=n, seed=seed) for n, a in labels.items()}
    for name, head in heads.items():
        if head.quality.noise:
            raise UserError(
                f"{name}: {head.quality}: these answers cannot be told from a coin's, so nothing is added; check what "
                "they mean, or give more"
            )
    scores = torch.stack([head.scores(faces) for head in heads.values()], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be fitted is an error here, and noise has its own figures
        fitted = fit_boundary(
            faces.codes,
            scores,
            attributes=list(heads),
            kinds=[head.kind for head in heads.values()],
            **{key: faces.inputs[key] for key in ("space", "family", "num_ws", "truncation")},
            l2=l2,
            refits=10,
            metric=boundary.metric,
            seed=seed,
        )
    for name, reason in fitted.metrics["failed"].items():
        raise UserError(f"{name}: by these answers it is too rare ({reason}); find more faces that have it (--suggest)")
    learned = {}
    for j, (name, head) in enumerate(heads.items()):
        figures = fitted.metrics["attributes"][name]
        cosine, wanted = _noise(head, faces, scores[:, j], l2)
        learned[name] = Learned(head, scores[:, j], figures["r2"], cosine, wanted)
        figures["answers"] = _as_figures(head.quality) | {"cosine": cosine}
    added = {name: {"answers": json_digest(sorted(given.items())), "l2": l2} for name, given in labels.items()}
    before = boundary.provenance.get("added", {})
    samples = {"samples": len(faces), **{k: faces.inputs.get(k) for k in ("generator", "scorer", "seed")}}
    whole = joined(boundary, fitted, provenance={"added": {**before, **{n: a | samples for n, a in added.items()}}})
    return whole, learned


def _noise(head: Head, faces: Faces, scores: Tensor, l2: float) -> tuple[float, float]:
    """Agreement of the directions of two independent sets of answers, and the answers wanted for :data:`STEADY`."""
    assert faces.codes is not None
    together = torch.cat([scores[:, None], head.resampled_scores(faces)], 1).double()
    if head.kind == "binary":
        together = together.sigmoid()
    together = (together - together.mean(0)) / together.std(0).clamp_min(1e-9)
    statistics = moments(faces.codes)
    found = ridge(faces.codes, together, l2=l2 * statistics.scale, statistics=statistics).weights
    stable = stability(found[1:, None], found[:1])
    return float(stable.agreement), float(stable.samples_for(STEADY, head.quality.answers))


def _as_figures(quality: Quality) -> dict[str, Any]:
    names = ("measure", "value", "low", "high", "half", "answers", "positives")
    return {name: getattr(quality, name) for name in names}


def _rounded(count: float) -> int:
    """To a tenth of its size: it is an estimate."""
    step = max(10, int(10 ** (len(str(int(count))) - 1)))
    return max(step, round(count / step) * step)
