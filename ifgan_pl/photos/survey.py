"""Which faces there are in photographs: found once, by all ranks together, and named for all that comes of them."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.core.progress import CountBar
from ifgan_pl.editing.plan import Subject
from ifgan_pl.photos.alignment import face_quad
from ifgan_pl.photos.faces import Face, Photo, open_photo
from ifgan_pl.photos.write import LARGEST
from ifgan_pl.scores.score_images import list_images

Points = tuple[tuple[float, float], ...]
LABEL = 16
"""Letters of a photograph's name on a sheet."""
RESERVED = re.compile(
    r"(strip(-\d+)?|grid(_.*)?|index|edits|skipped|provenance|config|gallery|faces)(/|$)", re.IGNORECASE
)
"""Names of other results in the folder of edited photographs."""


@dataclass(frozen=True)
class FoundFace:
    """A face in a photograph on disk: enough to cut it out again without a search.

    Attributes:
        path: the photograph.
        digest: sha256 of that file.
        name: of the photograph's results: its path below the place that all photographs have in common, no suffix.
        suffix: with which the photograph is written back.
        number: of the face in it, the largest 0.
        points: the eyes and the mouth, (x, y) each, see :attr:`ifgan_pl.photos.faces.Face.points`.
    """

    path: Path
    digest: str
    name: str
    suffix: str
    number: int
    points: Points

    @property
    def quad(self) -> NDArray[np.float64]:
        """See :attr:`ifgan_pl.photos.faces.Face.quad`."""
        return face_quad(self.points)

    @property
    def face(self) -> Face:
        """The face itself. The last photograph that was asked for stays in memory.

        Raises:
            UserError: the photograph is another one by now.
        """
        return replace(opened(self.path, self.digest), points=np.array(self.points)).faces[0]

    @property
    def subject(self) -> Subject:
        """How files and sheets of its edits call it."""
        index = {"photo": self.name + self.suffix, "face": self.number, "digest": self.digest}
        short = self.name if len(self.name) <= LABEL else f"…{self.name[1 - LABEL :]}"
        name = re.sub(r"[^\w/.+-]", "-", self.name)
        return Subject(index, f"faces/{name}-{self.number}", f"{short} {self.number}")


class Survey(NamedTuple):
    """Faces, in the order of their photographs, and why other photographs are left out, by path."""

    faces: list[FoundFace]
    skipped: dict[Path, str]

    def check(self) -> None:
        """Refuse to go on where no face is left.

        Raises:
            UserError: says why of the first photograph.
        """
        if not self.faces:
            first = next(iter(self.skipped.values()))
            more = f" (and {len(self.skipped) - 1} other photographs)" if len(self.skipped) > 1 else ""
            raise UserError(f"nothing to do: {first}{more}" if more else first)


@lru_cache(maxsize=1)
def opened(path: Path, digest: str) -> Photo:
    """A photograph that was opened before, without the remarks of the first time.

    Raises:
        UserError: it is another one by now.
    """
    if not path.is_file() or file_digest(path) != digest:
        raise UserError(f"{path} has changed since its faces were found: run the same command again")
    remarks = logging.getLogger("ifgan_pl.photos")
    remarks.setLevel(logging.ERROR)
    try:
        return open_photo(path)
    finally:
        remarks.setLevel(logging.NOTSET)


def survey(
    places: Sequence[str | Path],
    *,
    face: int | None = None,
    points: Sequence[str] = (),
    leave_out: Sequence[str | Path] = (),
    ranks: Ranks = ALONE,
) -> Survey:
    """Find the faces in photographs; called by all ranks, each of which searches a share.

    Args:
        places: files and folders.
        face: number of the one face of each photograph that is wanted; ``None``: all.
        points: texts x,y of the eyes and the mouth in the one photograph given, see :func:`parse_points`.
        leave_out: folders below those, e.g. of results.
        ranks: that search.

    Raises:
        UserError: a place that is not there, or no face at all. Photographs that cannot be used are left out.
    """
    away = [Path(folder).resolve() for folder in leave_out]
    files = [f for f in list_images(places) if not any(f.resolve().is_relative_to(folder) for folder in away)]
    if not files:
        raise UserError(f"no photographs in {', '.join(map(str, places))}")
    pointed = parse_points(points) if points else None
    if pointed and len(files) > 1:
        raise UserError(f"--points shows one face in one photograph, here are {len(files)}")
    names, mine = result_names(files), range(ranks.rank, len(files), ranks.size)
    share = f" (rank 0 of {ranks.size})" if ranks.size > 1 else ""
    found: list[tuple[int, list[FoundFace] | str]] = []
    with CountBar(f"finding faces{share}", len(mine)) as bar:
        for i in mine:
            found.append((i, faces_or_reason(files[i], names[i], face, pointed)))
            bar.advance(1)
    parts = dict(pair for part in ranks.gather(found) for pair in part)
    result = Survey([], {})
    for i, file in enumerate(files):
        part = parts[i]
        if isinstance(part, str):
            result.skipped[file] = part
        else:
            result.faces.extend(part)
    result.check()
    return result


def faces_or_reason(path: Path, name: str, number: int | None, points: Points | None) -> list[FoundFace] | str:
    """The faces in a photograph, or why it cannot be used."""
    try:
        photo = open_photo(path, points=points)
        faces = list(enumerate(photo.faces))
    except UserError as error:
        return str(error)
    if number is not None:
        faces = faces[number : number + 1]
        if not faces:
            return f"{path} has {len(photo.faces)} faces: there is no --face {number}, the first is number 0"
    digest, suffix = file_digest(path), written_suffix(photo)
    return [
        FoundFace(path, digest, name, suffix, i, tuple((float(x), float(y)) for x, y in face.points))
        for i, face in faces
    ]


def written_suffix(photo: Photo) -> str:
    """The suffix with which a photograph is written back: its own, where that says what it is and has room for it."""
    if max(photo.pixels.shape) > LARGEST[photo.suffix]:
        return ".png"
    own = photo.path.suffix
    return own if own.lower().replace("jpeg", "jpg") == photo.suffix else photo.suffix


def result_names(files: Sequence[Path]) -> list[str]:
    """Of each file what its results are called: its path below the folder that all share, without suffix; no two alike,
    whatever the case of letters, and none like a name in :data:`RESERVED`."""
    whole = [file.absolute() for file in files]
    common = Path(os.path.commonpath([file.parent for file in whole]))
    stems = [file.relative_to(common).with_suffix("").as_posix() for file in whole]
    counted = Counter(stem.lower() for stem in stems)
    names: list[str] = []
    taken: set[str] = set()
    for file, stem in zip(whole, stems, strict=True):
        name = stem if counted[stem.lower()] == 1 else f"{stem}-{file.suffix[1:]}"
        name = "/".join(part.lstrip(".") or "_" for part in name.split("/"))
        name = f"_{name}" if RESERVED.match(name) else name
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names.append(name)
    return names


def parse_points(texts: Iterable[str]) -> Points:
    """``["x,y", "x,y", "x,y"]`` as numbers.

    Raises:
        UserError: the texts are anything else.
    """
    texts = list(texts)
    try:
        points = tuple((float(x), float(y)) for x, y in (text.split(",") for text in texts))
    except ValueError:
        points = ()
    if len(points) != 3:
        raise UserError(f"--points takes three points, x,y x,y x,y: the two eyes and the mouth; got {' '.join(texts)}")
    return points


def points_text(points: Points) -> str:
    """Points as ``--points`` takes them."""
    return " ".join(f"{x!r},{y!r}" for x, y in points)
