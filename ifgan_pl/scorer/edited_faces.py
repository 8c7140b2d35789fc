"""Labelled faces with one attribute edited: the others keep their labels, whatever a scorer makes of them."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.files import tensors_digest
from ifgan_pl.core.resources import find
from ifgan_pl.data.faces import FacesData
from ifgan_pl.data.labelled import LabelTable
from ifgan_pl.generators import Generator

STRENGTHS = (-2.0, -1.0, 1.0, 2.0)
"""Changes in standard deviations of the edited attribute's score, the others held."""


class EditedFacesData(FacesData):
    """Counterfactual training rows: what changes with an edit is its attribute, which loses its label here.

    Row k has attribute k modulo m edited, by each of :data:`STRENGTHS` in turn. For edits that independent judges call
    clean (``benchmarks/edit_eyes.py``), a scorer that sees another attribute move, such as years with eyeglasses, is
    taught otherwise.

    Args:
        labels, latents: as in :class:`FacesData`.
        boundary: file, or the name of a shipped one, whose edits of all attributes follow gradients or normals.
        options: of :class:`FacesData`.
    """

    def __init__(
        self,
        labels: str | Path = "faces-more.csv",
        latents: str | Path | None = None,
        *,
        boundary: str = "ffhq-mobile-w",
        resolution: int | None = 128,
        **options: Any,
    ) -> None:
        super().__init__(labels, latents, resolution=resolution, **options)
        self.boundary = boundary
        self.steps = torch.empty(0, 0)
        """(m, d): what one std of each attribute adds to a code, the others held; there once the labels are read."""

    def read(self) -> LabelTable:
        """Labels of the faces before the edit, without that of what is edited.

        Raises:
            UserError: as for the faces, or an attribute that the boundary lacks.
        """
        table = super().read()
        boundary = LinearBoundary.load(find(self.boundary, "checkpoints", (".safetensors",)))
        names = list(table.attributes)
        steps = [boundary.edit_shift({name: 1.0}, hold=[n for n in names if n != name]) for name in names]
        self.steps = torch.stack(steps)
        edited = torch.arange(len(table.files)) % len(table.attributes)
        targets = table.targets.clone()
        targets[torch.arange(len(targets)), edited] = torch.nan
        return LabelTable(table.attributes, table.files, targets, table.split)

    def codes(self, generator: Generator, z: Tensor, rows: slice) -> Tensor:
        """W+ codes of rows, edited: (n, num_ws, w_dim)."""
        numbers = torch.arange(rows.start, rows.stop)
        m, amounts = len(self.steps), torch.tensor(STRENGTHS)
        w = super().codes(generator, z, rows)
        steps = self.steps.view(m, -1, generator.w_dim)
        shifts = amounts[numbers // m % len(amounts), None, None] * steps[numbers % m]
        return w[:, None] + F.pad(shifts, (0, 0, 0, generator.num_ws - shifts.shape[1])).to(w)

    def changes(self) -> str:
        """Digest of the shifts."""
        return tensors_digest({"steps": self.steps, "strengths": torch.tensor(STRENGTHS)})
