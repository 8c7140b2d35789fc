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
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import synthesise

SHARES = (0.5, 0.625, 0.75, 0.875, 1.0)
"""Of an edit, that are tried."""
PRICE = 0.25
"""Of going on by a whole edit, in shares of what was asked: a part that adds less than that per length is left out."""
SIDE = 128
"""Least side of the images that the scorer looks at."""


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
        self, editor: Editor, codes: Tensor, changes: Mapping[str, float], *, truncation: float = 1.0, **options: Any
    ) -> tuple[Tensor, list[Aimed]]:
        """Edited codes that are no farther from the faces than need be.

        Of each edit the share is taken that makes ``max(0, 1 - seen) + PRICE · share`` least, where ``seen`` is what
        the scorer sees move, along what was asked and in shares of it.

        Args:
            editor: of the generator that shows these faces.
            codes, changes: see :meth:`Editor.shifted`.
            truncation: see :meth:`Editor.images`.
            options: of :meth:`Editor.shifted`; the unit ``std``, the mode ``shift``.

        Returns:
            what :meth:`Editor.shifted` returns, and of each face its share, one of :data:`SHARES`.
        """
        whole = editor.shifted(codes, changes, **options)
        asked = {canonical(name): value for name, value in changes.items() if canonical(name) in self.units and value}
        if not asked:
            return whole, [Aimed(1.0, torch.nan)] * len(codes)
        steps = [editor.shifted(codes, {n: s * v for n, v in changes.items()}, **options) for s in SHARES[:-1]]
        rows = [codes.expand_as(whole) if codes.ndim == whole.ndim else codes[:, None].expand_as(whole), *steps, whole]
        space = "w+" if whole.ndim == 3 else editor.boundary.space
        side = looked_at(editor.generator)

        def look(piece: Tensor) -> Tensor:
            images = synthesise(editor.generator, piece, space=space, truncation=truncation, resolution=side)
            return self.scorer(images).float()

        scores = map_micro_batches(look, torch.cat(rows), side=side).view(len(rows), len(codes), -1)
        columns, std = zip(*(self.units[name] for name in asked), strict=True)
        strengths = torch.tensor(list(asked.values())).to(scores)
        moved = (scores[1:, :, list(columns)] - scores[0, :, list(columns)]) / torch.tensor(std).to(scores)
        seen = moved @ strengths / strengths.square().sum()  # (shares, N)
        price = PRICE * torch.tensor(SHARES).to(seen)
        best = ((1 - seen).clamp_min(0) + price[:, None]).argmin(0)
        everyone = torch.arange(len(best), device=best.device)
        found = zip((SHARES[i] for i in best.tolist()), seen[best, everyone].tolist(), strict=True)
        return torch.stack([*steps, whole])[best, everyone], [Aimed(*pair) for pair in found]


def looked_at(generator: Generator) -> int:
    """The least native side of a generator that is no less than :data:`SIDE`."""
    return min([side for side in generator.resolutions if side >= SIDE] or [generator.img_resolution])
