"""Edits of the length that a face needs: a scorer looks at each face on the way, and says when it sees what was asked.

A boundary knows what edits do to faces on average. To one face, above all to one in a photograph, whose code lies
apart from those of samples, half of an edit may do all that was asked (a frame of glasses is there or not; a smile
cannot be broader), and the rest only takes the person away.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.editing.editor import Editor

SHARES, BEYOND = (0.5, 0.625, 0.75, 0.875, 1.0), (1.25, 1.5)
"""Of an edit, that are tried; and of what is there or not, as a frame of glasses, where less than LATE of what was
asked is seen by then, or half a frame. Elsewhere to go on would take the person away."""
LATE, SURE = 0.25, 0.9
"""Of what was asked, below which nothing is there yet; probability from which it is whole."""
PRICE = 0.25
"""Of going on by a whole edit, in shares of what was asked: a part that adds less than that per length is left out."""


class Aimed(NamedTuple):
    """How an edit of a face was aimed: the share of it that was taken, and what the scorer sees of what was asked (1:
    all); NaN where it does not know the attribute."""

    share: float
    seen: float

    def words(self) -> dict[str, str]:
        """What ``edits.csv`` says of it, by heading."""
        return {"share": f"{self.share:g}", "seen": "" if math.isnan(self.seen) else f"{self.seen:.3f}"}


class ScoreColumn(NamedTuple):
    """Of an attribute: its column of the scores, their standard deviation over samples, and whether they are logits,
    of what is there or not."""

    column: int
    std: float
    binary: bool


class Aim:
    """How far edits of faces have to go.

    Args:
        scorer: images (n, 3, H, W) -> scores (n, m).
        units: of attributes (``male``, not ``gender``); edits of others are not looked at.
    """

    def __init__(self, scorer: Callable[[Tensor], Tensor], units: Mapping[str, ScoreColumn]) -> None:
        self.scorer, self.units = scorer, units

    @torch.no_grad()
    def edited(
        self,
        editor: Editor,
        codes: Tensor,
        originals: Tensor,
        changes: Mapping[str, float],
        *,
        truncation: float = 1.0,
        resolution: int | None = None,
        **options: Any,
    ) -> tuple[Tensor, list[Aimed]]:
        """Images of edits that are no farther from the faces than need be, and farther where nothing else would show.

        Of each edit the share is taken that makes ``max(0, 1 - seen) + doubt + PRICE · share`` least, where ``seen`` is
        what the scorer sees move, along what was asked and in shares of it, and ``doubt`` the probability that what was
        asked is not there after all, of what is there or not (their mean): half a frame of glasses may move the score
        by all that was asked.

        Args:
            editor: of the generator that shows these faces.
            codes, changes: see :meth:`Editor.shifted`.
            originals: the images of the codes, (N, 3, H, W).
            truncation, resolution: see :meth:`Editor.images`.
            options: of :meth:`Editor.shifted`; the unit ``std``, the mode ``shift``.

        Returns:
            (N, 3, H, W), and of each face its share, one of :data:`SHARES` or :data:`BEYOND`.
        """
        asked = {canonical(name): value for name, value in changes.items() if canonical(name) in self.units and value}

        def images(faces: list[int], share: float) -> Tensor:
            part = {name: share * value for name, value in changes.items()}
            shifted = editor.shifted(codes[faces], part, **options)
            return editor.images(shifted, truncation=truncation, resolution=resolution)

        if not asked:
            return images([*range(len(codes))], 1.0), [Aimed(1.0, torch.nan)] * len(codes)
        units = [self.units[name] for name in asked]
        std = torch.tensor([unit.std for unit in units], device=codes.device)
        strengths = torch.tensor(list(asked.values()), device=codes.device)
        binary = [i for i, unit in enumerate(units) if unit.binary]

        def scores(shown: Tensor) -> Tensor:
            return map_micro_batches(self.scorer, shown)[:, [unit.column for unit in units]]

        before = scores(originals)
        edited, aimed = list(originals), [Aimed(1.0, torch.nan)] * len(codes)
        least = torch.full((len(codes),), torch.inf)
        late = set(range(len(codes)) if binary else [])
        for share in (*SHARES, *BEYOND):
            todo = (least > PRICE * share).nonzero()[:, 0].tolist()  # of the others nothing farther can be better
            if share > 1:
                todo = [face for face in todo if face in late]
            if not todo:
                break
            shown = images(todo, share)
            now = scores(shown)
            seen = (((now - before[todo]) / std) @ strengths / strengths.square().sum()).tolist()
            there = torch.sigmoid(now * strengths.sign())[:, binary].mean(1).tolist()
            for face, image, found, sure in zip(todo, shown, seen, there, strict=True):
                doubt = 1 - sure if binary else 0.0
                if share <= 1 and found >= LATE:
                    late.discard(face)
                if share == 1 and found >= 1 and 0.5 < sure < SURE:
                    late.add(face)
                cost = max(0.0, 1 - found) + doubt + PRICE * share
                if cost < least[face]:
                    least[face], edited[face], aimed[face] = cost, image, Aimed(share, found)
        return torch.stack(edited), aimed
