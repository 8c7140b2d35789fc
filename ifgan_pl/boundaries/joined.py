"""Two boundaries as one: attributes added to those that are there."""

from collections.abc import Mapping
from typing import Any

import torch

from ifgan_pl.boundaries.boundary import STATISTICS, LinearBoundary
from ifgan_pl.core.errors import UserError


def joined(
    first: LinearBoundary, second: LinearBoundary, *, provenance: Mapping[str, Any] | None = None
) -> LinearBoundary:
    """The attributes of both, with the metric, the mean code and the covariance of the first.

    An attribute that both have is the second's, in the place of the first's. ``hold="all"`` means what it meant in the
    first.

    Args:
        first, second: in one latent space.
        provenance: added to that of the first.

    Raises:
        UserError: they belong to different latent spaces, families or layers.
    """
    second.check_codes(space=first.space, family=first.family)
    if (first.normals.shape[1], first.layers) != (second.normals.shape[1], second.layers):
        raise UserError(
            "the boundaries are of codes of another dimension or of other layers: fit them on the same codes"
        )
    names = [*first.attributes, *(n for n in second.attributes if n not in first.attributes)]
    sources = [second if name in second.attributes else first for name in names]
    rows = [source.attributes.index(name) for source, name in zip(sources, names, strict=True)]

    def gather(part: str) -> torch.Tensor:
        return torch.stack([getattr(s, part).detach()[r].to(first.normals) for s, r in zip(sources, rows, strict=True)])

    old = [i for i, source in enumerate(sources) if source is first]

    def extended(part: torch.Tensor | None, fill: float) -> torch.Tensor | None:
        """What the first knows of its attributes, for all."""
        if part is None:
            return None
        whole = part.new_full((len(names), *part.shape[1:]), fill)
        whole[old] = part[[rows[i] for i in old]]
        return whole

    response = extended(first.response, 0.0)
    if response is not None:
        whole = torch.eye(len(names)).to(response)
        for i in old:
            whole[i, old] = response[i, [rows[j] for j in old]]
        response = whole
    figures = {**first.metrics.get("attributes", {}), **second.metrics.get("attributes", {})}
    return LinearBoundary(
        gather("normals"),
        gather("biases"),
        attributes=names,
        kinds=[source.kinds[r] for source, r in zip(sources, rows, strict=True)],
        space=first.space,
        family=first.family,
        num_ws=first.num_ws,
        layers=first.layers if len(first.layers) < first.num_ws else None,
        truncation=first.truncation,
        **{part: gather(part) for part in STATISTICS},
        code_mean=first.code_mean,
        covariance=first.covariance,
        gradients=extended(first.gradients, torch.nan),
        spread=extended(first.spread, torch.nan),
        response=response,
        metric=first.metric,
        core=first.core,
        metrics={**first.metrics, "attributes": figures},
        provenance={**first.provenance, **(provenance or {})},
    )
