"""A folder of inversions of faces in photographs.

One safetensors file a face, named by its photograph and by a digest of what it depends on (photograph, place of the
face, generator), so that a face is inverted once, whoever asks; beside it a JPEG shows photograph and inversion.
"""

import csv
import io
import os
from collections.abc import Sequence
from glob import escape
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import changed, file_digest, json_digest, write_text
from ifgan_pl.generators.base import Generator
from ifgan_pl.images.sheets import draw_strip
from ifgan_pl.images.write import save_image
from ifgan_pl.photos.inversion import Inversion, Inverter
from ifgan_pl.photos.survey import FoundFace, Survey, parse_points, points_text, result_names

TABLE = "inversions.csv"
STEM = 60
"""Letters of a photograph's name that name its inversions."""
CELL, ROWS = 224, 12
"""Side of a cell of the sheet in pixels, and rows of one."""
SETTINGS = ("encoder", "steps")
"""Parts of an inversion's provenance that tell how it was made, beside the photograph and the generator."""


class Inversions:
    """A folder of inversions into one generator.

    Args:
        root: the folder.
        generator: its digest counts.
    """

    def __init__(self, root: str | Path, generator: Generator) -> None:
        self.root, self.generator = Path(root), generator

    def path(self, found: FoundFace) -> Path:
        """The file of a face."""
        quad = np.round(found.quad, 3).tolist()
        key = json_digest({"photo": found.digest, "quad": quad, "generator": self.generator.fingerprint})
        return self.root / f"{found.path.stem[:STEM]}-{key[:12]}.safetensors"

    def load(self, found: FoundFace) -> Inversion:
        """The inversion of a face.

        Raises:
            UserError: it is missing or damaged.
        """
        return Inversion.load(self.path(found))

    def missing(self, faces: Sequence[FoundFace]) -> list[FoundFace]:
        """Those that are not there, or damaged; of two with one file the first."""
        todo: dict[Path, FoundFace] = {}
        for found in faces:
            try:
                self.load(found)
            except UserError:
                todo.setdefault(self.path(found), found)
        return list(todo.values())

    def check_settings(self, faces: Sequence[FoundFace], inverter: Inverter) -> None:
        """Refuse to mix inversions that were made in different ways.

        Raises:
            UserError: names what differs.
        """
        for found in faces:
            if self.path(found).exists():
                old, new = self.load(found).provenance, inverter.provenance(found.face)
                differences = changed(*({key: about.get(key) for key in SETTINGS} for about in (old, new)))
                if differences:
                    raise UserError(
                        f"{self.root} holds inversions that were made in another way ({'; '.join(differences)}): "
                        "choose another --out"
                    )
                return

    def tidy(self, faces: Sequence[FoundFace]) -> None:
        """Remove what a killed run was writing of these faces."""
        for found in faces:
            path = self.path(found)
            for name in (path.name, path.with_suffix(".jpg").name):
                for leftover in self.root.glob(f".{escape(name)}.*"):
                    leftover.unlink(missing_ok=True)

    # -- what a reader sees of it

    def write_table(self, survey: Survey) -> Path:
        """``inversions.csv``: each face, and each photograph that was left out; paths are relative to the folder."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["photo", "face", "file", "points", "quad", "psnr", "identity", "suffix", "note"])
        for found in survey.faces:
            inversion = self.load(found)
            quad = " ".join(f"{x:.2f},{y:.2f}" for x, y in inversion.quad)
            likeness = [f"{inversion.likeness[name]:.4g}" for name in ("psnr", "identity")]
            cells = [found.number, self.path(found).name, points_text(found.points), quad, *likeness, found.suffix, ""]
            writer.writerow([self.relative(found.path), *cells])
        for path, reason in survey.skipped.items():
            writer.writerow([self.relative(path), *[""] * 7, reason.replace(str(path), path.name)])
        write_text(self.root / TABLE, text.getvalue())
        return self.root / TABLE

    def read_table(self, face: int | None = None) -> Survey:
        """The faces that ``inversions.csv`` lists, or those of one number; photographs that moved are left out.

        Raises:
            UserError: there is no such table, or no face is left.
        """
        path = self.root / TABLE
        if not path.is_file():
            raise UserError(f"{self.root} holds no {TABLE}: finish `python train.py invert --out {self.root}` first")
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["file"] and face in (None, int(row["face"]))]
        photos = list(dict.fromkeys(Path(os.path.normpath(self.root / row["photo"])) for row in rows))
        names = dict(zip(photos, result_names(photos) if photos else [], strict=True))
        result = Survey([], {})
        for row in rows:
            photo = Path(os.path.normpath(self.root / row["photo"]))
            about = Inversion.load(self.root / row["file"]).provenance
            if about["generator"]["digest"] != self.generator.fingerprint:
                raise UserError(
                    f"{self.root / row['file']} was made with {about['generator']['name']}, not with "
                    f"{self.generator.name}: give the --generator of both, or --photos to invert again"
                )
            if not photo.is_file() or file_digest(photo) != about["photo"]["digest"]:
                missing = "changed since it was inverted" if photo.is_file() else "is not there any more"
                result.skipped[photo] = f"{photo} {missing}: give --photos beside --inversions {self.root}"
                continue
            points = parse_points(row["points"].split())
            result.faces.append(
                FoundFace(photo, about["photo"]["digest"], names[photo], row["suffix"], int(row["face"]), points)
            )
        if not rows:
            raise UserError(f"{path} lists no face" + ("" if face is None else f" number {face}"))
        result.check()
        return result

    def write_sheets(self, faces: Sequence[FoundFace]) -> list[Path]:
        """``sheet.png``, in pages: photograph and inversion of each face."""
        paths = []
        for page in range(ceil(len(faces) / ROWS)):
            part = faces[page * ROWS : (page + 1) * ROWS]
            sheet = draw_strip(
                [cells(self.path(found).with_suffix(".jpg")) for found in part],
                title=f"{self.generator.name}: photographs and their inversions",
                row_labels=[found.subject.label for found in part],
                column_labels=["photograph", "inversion"],
                captions=[["", likeness_text(self.load(found))] for found in part],
                side=CELL,
            )
            paths.append(self.root / f"sheet{f'-{page:03d}' if len(faces) > ROWS else ''}.png")
            save_image(paths[-1], np.asarray(sheet), {"index": [found.subject.index for found in part]})
        return paths

    def relative(self, path: Path) -> str:
        """A photograph's path as the table says it."""
        return Path(os.path.relpath(path.absolute(), self.root.absolute())).as_posix()


def likeness_text(inversion: Inversion) -> str:
    """How like the photograph an inversion is, as a sheet says it."""
    return "identity {identity:.2f}, {psnr:.1f} dB".format(**inversion.likeness)


def cells(path: Path) -> list[Image.Image]:
    """Photograph and inversion, of the image beside an inversion."""
    with Image.open(path) as image:
        both = image.convert("RGB")
    half = both.width // 2
    return [both.crop((x, 0, x + half, both.height)) for x in (0, half)]
