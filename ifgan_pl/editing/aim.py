"""Edits of the length that a face needs: a scorer looks at each face on the way, and says when it sees what was asked.

A boundary knows what edits do to faces on average. To one face, above all to one in a photograph, whose code lies
apart from those of samples, half of an edit may do all that was asked (a frame of glasses is there or not; a smile
cannot be broader), and the rest only takes the person away.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.editing.editor import Editor

SHARES = (0.5, 0.625, 0.75, 0.875, 1.0)
"""Of an edit, that are tried."""
PRICE = 0.25
"""Of going on by a whole edit, in shares of what was asked: a part that adds less than that per length is left out."""


class Aimed(NamedTuple):
    """How an edit of a face was aimed: the share of it that was taken, and what the scorer sees of what was asked (1:
    all); NaN where it does not know the attribute."""

    share: float
    seen: float


class Aim:
    """How far edits of faces have to go.

    Args:
        scorer: images (n, 3, H, W) -> scores (n, m).
        units: attribute (``male``, not ``gender``) -> its column of the scores and their standard deviation over
            samples; edits of others are not looked at.
    """

    def __init__(self, scorer: Callable[[Tensor], Tensor], units: Mapping[str, tuple[int, float]]) -> None:
        self.scorer, self.units = scorer, units

    @torch.no_grad()
    def shifted(
        self,
        editor: Editor,
        codes: Tensor,
        changes: Mapping[str, float],
        *,
        truncation: float = 1.0,
        resolution: int | None = None,
        **options: Any,
    ) -> tuple[Tensor, list[Aimed]]:
        """Edited codes that are no farther from the faces than need be.

        Of each edit the share is taken that makes ``max(0, 1 - seen) + PRICE · share`` least, where ``seen`` is what
        the scorer sees move, along what was asked and in shares of it.

        Args:
            editor: of the generator that shows these faces.
            codes, changes: see :meth:`Editor.shifted`.
            truncation, resolution: see :meth:`Editor.images`; of the images that the scorer looks at.
            options: of :meth:`Editor.shifted`; the unit ``std``, the mode ``shift``.

        Returns:
            what :meth:`Editor.shifted` returns, and of each face its share, one of :data:`SHARES`.
        """
        asked = {canonical(name): value for name, value in changes.items() if canonical(name) in self.units and value}
        if not asked:
            return editor.shifted(codes, changes, **options), [Aimed(1.0, torch.nan)] * len(codes)
        columns, std = zip(*(self.units[name] for name in asked), strict=True)
        strengths = torch.tensor(list(asked.values()), device=codes.device)

        def scores(rows: Tensor) -> Tensor:
            images = editor.images(rows, truncation=truncation, resolution=resolution)
            return map_micro_batches(self.scorer, images)[:, list(columns)] / torch.tensor(std, device=rows.device)

        before = scores(codes)
        edited, aimed = list(codes), [Aimed(1.0, torch.nan)] * len(codes)
        least = torch.full((len(codes),), torch.inf)
        for share in SHARES:
            todo = (least > PRICE * share).nonzero()[:, 0].tolist()  # of the others nothing farther can be better
            if not todo:
                break
            shifted = editor.shifted(codes[todo], {name: share * value for name, value in changes.items()}, **options)
            seen = ((scores(shifted) - before[todo]) @ strengths / strengths.square().sum()).tolist()
            for face, code, found in zip(todo, shifted, seen, strict=True):
                cost = max(0.0, 1 - found) + PRICE * share
                if cost < least[face]:
                    least[face], edited[face], aimed[face] = cost, code, Aimed(share, found)
        return torch.stack(edited), aimed
