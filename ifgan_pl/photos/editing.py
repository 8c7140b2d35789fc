"""Edited faces back into their photographs: what the generator lacks is carried over, and whole photographs written."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.core.cores import map_on_cores
from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.progress import CountBar
from ifgan_pl.editing.outputs import EditOutputs
from ifgan_pl.editing.plan import Column, EditPlan
from ifgan_pl.generators.base import Generator
from ifgan_pl.photos.identity import SFace
from ifgan_pl.photos.inversions import Inversions
from ifgan_pl.photos.likeness import carry_over
from ifgan_pl.photos.paste import paste
from ifgan_pl.photos.survey import FoundFace, opened
from ifgan_pl.photos.write import save_photo


class FaceRetouch:
    """What faces in photographs need beside their codes, see :class:`ifgan_pl.editing.predict.Retouch`.

    Args:
        faces: those that are edited, by position.
        store: their inversions.
        plan: what is done.
        network: tells how much a face is still the same one's; on the device that edits.
    """

    def __init__(self, faces: Sequence[FoundFace], store: Inversions, plan: EditPlan, network: SFace) -> None:
        self.faces, self.store, self.plan, self.network = faces, store, plan, network

    def generator(self, position: int, generator: Generator) -> Generator:
        """The generator, tuned to this face."""
        return self.store.load(self.faces[position]).generator(generator)

    def __call__(self, position: int, columns: Sequence[Tensor]) -> tuple[list[Tensor], list[Mapping[str, Any]]]:
        """The photograph itself for the original, and with the edit for each edit: all (1, 3, H, W) in [-1, 1].

        The notes of a column are the photograph that it is pasted into, the cosine of SFace's embeddings between it and
        the photograph, and the likeness of the inversion.
        """
        found = self.faces[position]
        photo = found.face.aligned(columns[0].shape[-1])
        before = levels(columns[self.plan.original])

        def shown(column: int) -> Tensor:
            edited = self.plan.columns[column].changes
            pixels = carry_over(photo, before, levels(columns[column])) if edited else photo
            return as_image(pixels).to(columns[column])

        images = map_on_cores(shown, range(len(columns)))
        with torch.no_grad():
            embeddings = [self.network(image) for image in images]
        likeness = self.store.load(found).likeness
        notes: list[Mapping[str, Any]] = []
        for edit, embedding in zip(self.plan.columns, embeddings, strict=True):
            identity = float((embedding * embeddings[self.plan.original]).sum())
            written = whole_name(found, edit, self.plan) if edit.changes else ""
            measured = {"identity": identity} | {f"inversion_{name}": value for name, value in likeness.items()}
            notes.append({"photograph": written} | {name: f"{value:.4f}" for name, value in measured.items()})
        return images, notes


def levels(image: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(1, 3, H, W) in [-1, 1] -> (H, W, 3) float32, 0 to 255."""
    scaled = (image[0].clamp(-1, 1) + 1) * 127.5
    return np.asarray(scaled.permute(1, 2, 0).cpu().numpy(), np.float32)


def as_image(pixels: np.ndarray[Any, Any]) -> Tensor:
    """(H, W, 3), 0 to 255 -> (1, 3, H, W) float32 in [-1, 1]."""
    return (torch.from_numpy(np.array(pixels, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1).clamp(-1, 1)


def whole_name(found: FoundFace, column: Column, plan: EditPlan) -> str:
    """The name of a whole edited photograph: its own, where it is edited in one way only."""
    edits = sum(bool(c.changes) for c in plan.columns)
    return f"{found.name}{f'_{column.slug}' if edits > 1 else ''}{found.suffix}"


def write_photographs(outputs: EditOutputs, faces: Sequence[FoundFace], ranks: Ranks) -> list[Path]:
    """Write each photograph with all its edited faces, once for each edit; those that are there are left as they are.

    Args:
        outputs: whose faces are done and kept.
        faces: those faces, of one photograph one after another.
        ranks: each writes a share of the photographs; called by all.

    Returns:
        the files, those of other ranks too.

    Raises:
        UserError: faces are not done.
    """
    outputs.check_done()
    plan = outputs.plan
    groups = [list(group) for _, group in groupby(range(len(faces)), key=lambda i: faces[i].path)]
    edits = [i for i, column in enumerate(plan.columns) if column.changes]
    paths = [[outputs.folder / whole_name(faces[g[0]], plan.columns[i], plan) for i in edits] for g in groups]
    mine = range(ranks.rank, len(groups), ranks.size)
    with CountBar("writing photographs", len(mine)) as bar:
        for k in mine:
            for i, path in zip(edits, paths[k], strict=True):
                if not path.exists():
                    write_photograph(path, outputs, faces, groups[k], i)
            bar.advance(1)
    return [path for group in paths for path in group]


def write_photograph(
    path: Path, outputs: EditOutputs, faces: Sequence[FoundFace], positions: Sequence[int], column: int
) -> None:
    """Write one photograph with the edit of a column in all its faces."""
    plan = outputs.plan
    first = faces[positions[0]]
    photo = opened(first.path, first.digest)
    pixels = photo.pixels
    for position in positions:
        before, after = (outputs.kept(position, i) for i in (plan.original, column))
        pixels = paste(pixels, faces[position].quad, before, after)
    indices = [faces[p].subject.index for p in positions]
    save_photo(path, photo, pixels, plan.describe(indices, dict(plan.columns[column].changes)))
