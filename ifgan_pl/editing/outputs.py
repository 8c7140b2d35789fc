"""The folder of an edit: the files of each face, the sheets of many faces, and how an interrupted run continues.

Whichever rank edits a face leaves a part of it, a PNG with its columns side by side, written last: it says that all
files of the face are there. Sheets are made of the parts, so that thousands of faces never lie in memory together.
"""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import atomic_path, changed, load_tensors, save_tensors, write_json, write_text
from ifgan_pl.editing.plan import EditPlan, Index, Subject, sample
from ifgan_pl.editing.table import Notes, Scores, captions, table_row
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
        faces: N faces, or numbers of samples.
        formats: of :data:`FORMATS`.
        attributes: names of the scores, where there is a scorer.
        keep: keep every image as it is until :meth:`finish`, for :meth:`kept`.
    """

    def __init__(
        self,
        folder: Path,
        plan: EditPlan,
        faces: Sequence[int | Subject],
        *,
        formats: Sequence[str] = ("png", "strip"),
        attributes: Sequence[str] = (),
        keep: bool = False,
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.faces = [face if isinstance(face, Subject) else sample(face) for face in faces]
        self.formats = tuple(formats)
        self.attributes = list(attributes)
        self.keep = keep

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
        differences = other_faces(old.pop("index"), new.pop("index")) + changed(old, new)
        if differences:
            raise UserError(f"{self.folder} was begun with another request ({'; '.join(differences)})")
        return not (self.folder / PARTS).exists()

    def begin(self) -> list[int]:
        """Write down the request, on one rank; the positions of the faces that are still to be done."""
        (self.folder / PARTS).mkdir(parents=True, exist_ok=True)
        if not (self.folder / RECORD).exists():
            write_json(self.folder / RECORD, self._record())
        return [p for p in range(len(self.faces)) if not self._part(p).exists()]

    def _record(self) -> dict[str, Any]:
        indices = [face.index for face in self.faces]
        record = {**self.plan.describe(indices, self.plan.edits), "formats": list(self.formats)}
        return dict(json.loads(json.dumps(record)))

    # -- one face

    def write_face(
        self,
        position: int,
        face: Sequence[Pixels],
        scores: Scores,
        notes: Notes = None,
    ) -> None:
        """Write all files of a face, from any rank.

        Args:
            position: of the face.
            face: the image (H, W, 3) uint8 of each column.
            scores: of each column, where there is a scorer.
            notes: what else ``edits.csv`` says of each column, by heading; the same headings for all faces.
        """
        subject, plan = self.faces[position], self.plan
        for suffix in self.formats:
            if suffix in STILLS:
                for column, pixels in zip(plan.columns, face, strict=True):
                    about = plan.describe(subject.index, dict(column.changes))
                    save_image(self.folder / f"{subject.name}_{column.slug}.{suffix}", pixels, about)
            elif suffix in ANIMATIONS:
                about = plan.describe(subject.index, [plan.edits[i] for i in plan.frames])
                save_animation(self.folder / f"{subject.name}.{suffix}", [face[i] for i in plan.frames], about)
        images = [Image.fromarray(pixels) for pixels in face]
        if "html" in self.formats:
            side = min(GALLERY_CELL, images[0].width, GALLERY_WIDTH // len(images))
            row = side_by_side(images, side)
            save_image(self.folder / gallery_image(subject), row, plan.describe(subject.index, plan.edits))
        if self.keep:
            columns = {str(i): torch.from_numpy(np.array(pixels)) for i, pixels in enumerate(face)}
            save_tensors(self._part(position).with_suffix(".safetensors"), columns, {})
        info = {**plan.describe(subject.index, plan.edits), "scores": scores, "notes": notes}
        save_image(self._part(position), side_by_side(images, CELL), info)

    def kept(self, position: int, column: int) -> Pixels:
        """The image (H, W, 3) uint8 of a face that was kept."""
        tensors, _ = load_tensors(self._part(position).with_suffix(".safetensors"), names=(str(column),))
        return tensors[str(column)].numpy()

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
        self.check_done()
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

    def check_done(self) -> None:
        """Refuse to go on where faces are missing."""
        undone = sum(not self._part(p).exists() for p in range(len(self.faces)))
        if undone:
            raise UserError(
                f"{undone} of {len(self.faces)} faces are not done: run the same command again with --resume"
            )

    def _pages(self, size: int) -> list[tuple[range, str]]:
        """Positions in pages, and what the name of each page's file ends with."""
        count = len(self.faces)
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
            faces = [self.faces[p] for p in page]
            sheet = draw_strip(
                [self._cells(p) for p in page],
                title=self.plan.title,
                row_labels=[face.label for face in faces],
                column_labels=[c.label for c in self.plan.columns],
                captions=[texts for texts in map(self._captions, page) if texts] or None,
                side=CELL,
            )
            paths.append(self.folder / f"strip{suffix}.png")
            about = self.plan.describe([face.index for face in faces], self.plan.edits)
            save_image(paths[-1], np.asarray(sheet), about)
        return paths

    def _captions(self, position: int) -> list[str] | None:
        about = read_provenance(self._part(position))
        return captions(self.plan, self.attributes, about["scores"], about["notes"])

    def _write_grids(self) -> list[Path]:
        """A sheet of each column, so that the same face has the same place on all of them."""
        paths = []
        for page, suffix in self._pages(GRID * GRID):
            faces = [self.faces[p] for p in page]
            cells = [self._cells(p) for p in page]
            for i, column in enumerate(self.plan.columns):
                sheet = draw_grid(
                    [row[i] for row in cells],
                    title=f"{self.plan.title}: {column.label}",
                    labels=[face.label for face in faces],
                    columns=min(GRID, ceil(len(self.faces) ** 0.5)),
                    side=CELL,
                )
                paths.append(self.folder / f"grid_{column.slug}{suffix}.png")
                about = self.plan.describe([face.index for face in faces], dict(column.changes))
                save_image(paths[-1], np.asarray(sheet), about)
        return paths

    def _write_gallery(self) -> Path:
        still = next((f for f in self.formats if f in STILLS), None)
        page = gallery_page(
            [(face.label, gallery_image(face), face.name) for face in self.faces],
            title=self.plan.title,
            steps=[c.label for c in self.plan.columns],
            start=self.plan.original,
            stills=[f"_{c.slug}.{still}" for c in self.plan.columns] if still else [],
            provenance=self._record(),
        )
        write_text(self.folder / "index.html", page)
        return self.folder / "index.html"

    def _file(self, position: int, column: int) -> str:
        """The file of an image, as the table names it; empty where there is none."""
        suffix = next((f for f in (*STILLS, *ANIMATIONS) if f in self.formats), None)
        slug = f"_{self.plan.columns[column].slug}" if suffix in STILLS else ""
        return f"{self.faces[position].name}{slug}.{suffix}" if suffix else ""

    def _write_table(self) -> None:
        """``edits.csv``: each image, with the scores of its face before and after, and its notes."""
        headings: list[str] = []
        with (
            atomic_path(self.folder / "edits.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            for position in range(len(self.faces)):
                about = read_provenance(self._part(position))
                for column in range(len(self.plan.columns)):
                    row = table_row(
                        self.faces[position],
                        self.plan,
                        column,
                        self._file(position, column),
                        self.attributes,
                        about["scores"],
                        about["notes"],
                    )
                    if not headings:
                        headings = list(row)
                        writer.writerow(headings)
                    writer.writerow([row[heading] for heading in headings])


def other_faces(old: Sequence[Index], new: Sequence[Index]) -> list[str]:
    """How the faces of two requests differ; of photographs the first that is another one."""
    if old == new:
        return []
    photographs = [face for face in (*new, *old) if isinstance(face, Mapping)]
    differing = [face["photo"] for face in photographs if face not in old or face not in new]
    return [f"other faces in {differing[0]}" if differing else "other faces"]


def gallery_image(face: Subject) -> str:
    """The address of a face's image in the gallery."""
    return f"gallery/{face.name}.jpg"


def side_by_side(images: Sequence[Image.Image], side: int) -> Pixels:
    """Images as cells of one row: (side, side · n, 3)."""
    return np.concatenate([np.asarray(scale_to_cell(image, side)) for image in images], axis=1)
