"""The folder of an edit: the files of each face, the sheets of many faces, and how an interrupted run continues.

Whichever rank edits a face leaves a part of it, a PNG with its columns side by side, written last: it says that all
files of the face are there. Sheets are made of the parts, so that thousands of faces never lie in memory together.
"""

import csv
import json
import shutil
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import atomic_path, changed, write_json, write_text
from ifgan_pl.editing.plan import EditPlan
from ifgan_pl.images.gallery import gallery_page
from ifgan_pl.images.sheets import draw_grid, draw_strip, scale_to_cell
from ifgan_pl.images.write import (
    ANIMATIONS,
    STILLS,
    Animation,
    Pixels,
    Still,
    read_provenance,
    save_animation,
    save_image,
)

Format = Literal[Still, Animation, "strip", "grid", "html"]
FORMATS: tuple[str, ...] = get_args(Format)
CELL = 224
ROWS_A_STRIP = 12
GRID = 8
"""A page of a grid holds GRID × GRID faces."""
GALLERY_CELL, GALLERY_WIDTH = 384, 16000
PARTS = ".parts"
RECORD = "provenance.json"


class EditOutputs:
    """The folder that ``edit.py`` fills.

    Args:
        folder: of the results.
        plan: what is done to every face.
        numbers: N numbers that name the faces, e.g. sample indices.
        formats: of :data:`FORMATS`.
        attributes: names of the scores, where there is a scorer.
    """

    def __init__(
        self,
        folder: Path,
        plan: EditPlan,
        numbers: Sequence[int],
        *,
        formats: Sequence[str] = ("png", "strip"),
        attributes: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.numbers = list(numbers)
        self.formats = tuple(formats)
        self.attributes = list(attributes)

    # -- an interrupted run, and its continuation

    def check(self, *, resume: bool) -> bool:
        """Whether everything is there already; writes nothing.

        Raises:
            UserError: the folder holds something else, or another request; the differences are named.
        """
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return False
        if not resume:
            raise UserError(
                f"{self.folder} is not empty: choose another --out, or continue an interrupted run with --resume"
            )
        record = self.folder / RECORD
        if not record.exists() and not (self.folder / PARTS).exists():
            raise UserError(f"{self.folder} holds no interrupted run: choose another --out")
        if not record.exists():
            return False
        old, new = (
            {k: v for k, v in r.items() if k != "numerics"} for r in (json.loads(record.read_text()), self._record())
        )
        differences = ["other faces"] if old.pop("index") != new.pop("index") else []
        differences += changed(old, new)
        if differences:
            raise UserError(f"{self.folder} was begun with another request ({'; '.join(differences)})")
        return not (self.folder / PARTS).exists()

    def begin(self) -> list[int]:
        """Write down the request, on one rank; the positions of the faces that are still to be done."""
        (self.folder / PARTS).mkdir(parents=True, exist_ok=True)
        if not (self.folder / RECORD).exists():
            write_json(self.folder / RECORD, self._record())
        return [p for p in range(len(self.numbers)) if not self._part(p).exists()]

    def _record(self) -> dict[str, Any]:
        record = {**self.plan.describe(self.numbers, self.plan.edits), "formats": list(self.formats)}
        return dict(json.loads(json.dumps(record)))

    # -- one face

    def write_face(self, position: int, face: Sequence[Pixels], scores: Sequence[Sequence[float]] | None) -> None:
        """Write all files of a face, from any rank.

        Args:
            position: of the face among ``numbers``.
            face: the image (H, W, 3) uint8 of each column.
            scores: of each column, where there is a scorer.
        """
        number, plan = self.numbers[position], self.plan
        for suffix in self.formats:
            if suffix in STILLS:
                for column, pixels in zip(plan.columns, face, strict=True):
                    about = plan.describe(number, dict(column.changes))
                    save_image(self.folder / f"{number:06d}_{column.slug}.{suffix}", pixels, about)
            elif suffix in ANIMATIONS:
                about = plan.describe(number, [plan.edits[i] for i in plan.frames])
                save_animation(self.folder / f"{number:06d}.{suffix}", [face[i] for i in plan.frames], about)
        images = [Image.fromarray(pixels) for pixels in face]
        if "html" in self.formats:
            side = min(GALLERY_CELL, images[0].width, GALLERY_WIDTH // len(images))
            row = side_by_side(images, side)
            save_image(self.folder / gallery_image(number), row, plan.describe(number, plan.edits))
        info = {**plan.describe(number, plan.edits), "scores": scores}
        save_image(self._part(position), side_by_side(images, CELL), info)

    def _part(self, position: int) -> Path:
        return self.folder / PARTS / f"{position:08d}.png"

    # -- all faces

    def finish(self) -> list[Path]:
        """Make what spans faces, on one rank after all are done.

        Returns:
            the files to look at.

        Raises:
            UserError: faces are missing.
        """
        parts = [self._part(p) for p in range(len(self.numbers))]
        undone = sum(not p.exists() for p in parts)
        if undone:
            raise UserError(f"{undone} of {len(parts)} faces are not done: run the same command again with --resume")
        sheets: list[Path] = []
        if "strip" in self.formats:
            sheets += self._write_strips()
        if "grid" in self.formats:
            sheets += self._write_grids()
        if "html" in self.formats:
            sheets.append(self._write_gallery())
        self._write_table()
        for leftover in self.folder.rglob(".*.*"):  # what a killed run was writing
            if leftover.is_file() and leftover.parent.name != PARTS:
                leftover.unlink()
        shutil.rmtree(self.folder / PARTS)
        return [*sheets, self.folder / "edits.csv"]

    def _pages(self, size: int) -> list[tuple[range, str]]:
        """Positions in pages, and what the name of each page's file ends with."""
        count = len(self.numbers)
        return [
            (range(i, min(i + size, count)), f"-{i // size:03d}" if count > size else "") for i in range(0, count, size)
        ]

    def _cells(self, position: int) -> list[Image.Image]:
        with Image.open(self._part(position)) as image:
            row = image.convert("RGB")
        return [row.crop((i * CELL, 0, (i + 1) * CELL, CELL)) for i in range(len(self.plan.columns))]

    def _write_strips(self) -> list[Path]:
        paths = []
        for page, suffix in self._pages(ROWS_A_STRIP):
            numbers = [self.numbers[p] for p in page]
            sheet = draw_strip(
                [self._cells(p) for p in page],
                title=self.plan.title,
                row_labels=[str(n) for n in numbers],
                column_labels=[c.label for c in self.plan.columns],
                side=CELL,
            )
            paths.append(self.folder / f"strip{suffix}.png")
            save_image(paths[-1], np.asarray(sheet), self.plan.describe(numbers, self.plan.edits))
        return paths

    def _write_grids(self) -> list[Path]:
        """A sheet of each column, so that the same face has the same place on all of them."""
        paths = []
        for page, suffix in self._pages(GRID * GRID):
            numbers = [self.numbers[p] for p in page]
            faces = [self._cells(p) for p in page]
            for i, column in enumerate(self.plan.columns):
                sheet = draw_grid(
                    [face[i] for face in faces],
                    title=f"{self.plan.title}: {column.label}",
                    labels=[str(n) for n in numbers],
                    columns=min(GRID, ceil(len(self.numbers) ** 0.5)),
                    side=CELL,
                )
                paths.append(self.folder / f"grid_{column.slug}{suffix}.png")
                save_image(paths[-1], np.asarray(sheet), self.plan.describe(numbers, dict(column.changes)))
        return paths

    def _write_gallery(self) -> Path:
        still = next((f for f in self.formats if f in STILLS), None)
        page = gallery_page(
            [(str(n), gallery_image(n), f"{n:06d}") for n in self.numbers],
            title=self.plan.title,
            steps=[c.label for c in self.plan.columns],
            start=self.plan.original,
            stills=[f"_{c.slug}.{still}" for c in self.plan.columns] if still else [],
            provenance=self._record(),
        )
        write_text(self.folder / "index.html", page)
        return self.folder / "index.html"

    def _write_table(self) -> None:
        """``edits.csv``: each image, with the scores of its face before and after."""
        header = ["index", "column", "edit", "file"]
        header += [f"{when}_{name}" for when in ("before", "after") for name in self.attributes]
        suffix = next((f for f in (*STILLS, *ANIMATIONS) if f in self.formats), None)
        with atomic_path(self.folder / "edits.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for position, number in enumerate(self.numbers):
                scores = read_provenance(self._part(position))["scores"]
                for i, column in enumerate(self.plan.columns):
                    name = f"{number:06d}_{column.slug}.{suffix}" if suffix in STILLS else f"{number:06d}.{suffix}"
                    row = [number, column.label, json.dumps(dict(column.changes)), name if suffix else ""]
                    if scores:
                        row += [f"{s:.4f}" for s in (*scores[self.plan.original], *scores[i])]
                    writer.writerow(row)


def gallery_image(number: int) -> str:
    """The address of a face's image in the gallery."""
    return f"gallery/{number:06d}.jpg"


def side_by_side(images: Sequence[Image.Image], side: int) -> Pixels:
    """Images as cells of one row: (side, side · n, 3)."""
    return np.concatenate([np.asarray(scale_to_cell(image, side)) for image in images], axis=1)
