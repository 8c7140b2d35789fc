"""Answers about faces, and the CSV in which they are kept: nothing is lost, and a contradiction is named."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import write_text
from ifgan_pl.data.table import read_columns

Answers = Mapping[int, float]
"""Number of a face -> 0, 1, or any finite number."""
KEYS = ("index", "file")
"""The column that says which face a row is about: its number in the stream, or an image file."""


def read_answers(
    paths: Sequence[str | Path], names: Sequence[str] = (), *, files: Sequence[str] = (), num: int | None = None
) -> dict[str, dict[int, float]]:
    """Answers of CSV files with a column ``index`` (or ``file``) and a column for each attribute.

    Args:
        paths: files, one after another.
        names: attributes wanted; none: every column of the first file.
        files: image files that rows may name, by path, by name or by stem; the row is then about their position.
        num: how many faces there are; ``None``: not checked.

    Returns:
        attribute -> answers; an empty field is no answer.

    Raises:
        UserError: a face that is not there, a field that is no finite number, or two answers about a face that differ.
    """
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    origins: dict[tuple[str, int], str] = {}
    for path in paths:
        columns = read_columns(path)
        key = next((k for k in KEYS if k in columns), None)
        if key is None or (key == "file") != bool(files):
            wanted = "file, with --images" if files else "index"
            raise UserError(f"{path}: a column {wanted} expected; its header is {', '.join(columns)}")
        wanted_names = list(names) or [name for name in columns if name not in KEYS]
        absent = [name for name in wanted_names if name not in columns]
        if absent or not wanted_names:
            missing = ", ".join(absent) or "of an attribute"
            raise UserError(f"{path} has no column {missing}; its header is {', '.join(columns)}")
        faces = [_face(value, key, files, num, f"{path}, row {i + 1}") for i, value in enumerate(columns[key])]
        for name in wanted_names:
            for i, (face, text) in enumerate(zip(faces, columns[name], strict=True)):
                where = f"{path}, row {i + 1}"
                answer = _answer(text, name, where)
                if answer is None:
                    continue
                before = found.setdefault(name, {}).setdefault(face, answer)
                if before != answer:
                    raise UserError(
                        f"face {columns[key][i]} is both {before:g} ({origins[name, face]}) and {answer:g} ({where}) "
                        f"for {name}: keep the right one"
                    )
                origins.setdefault((name, face), where)
    return found


def _answer(text: object, name: str, where: str) -> float | None:
    text = "" if text is None else str(text).strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):  # NaN too
        raise UserError(f"{where}: {name} is {text!r}; write 1, 0, another number, or nothing where it is unclear")
    return value


def _face(value: object, key: str, files: Sequence[str], num: int | None, where: str) -> int:
    if key == "file":
        for position, file in enumerate(files):
            if str(value) in (file, Path(file).name, Path(file).stem):
                return position
        raise UserError(f"{where}: no image {value} among the {len(files)} of --images")
    try:
        face = int(str(value))
    except ValueError:
        face = -1
    if face < 0:
        raise UserError(f"{where}: the index of a face is a whole number from 0 on, got {value!r}")
    if num is not None and face >= num:
        raise UserError(f"{where}: face {face} is not among the {num} known; give --num {face + 1} or more")
    return face


def write_answers(path: str | Path, faces: Iterable[int], answers: Mapping[str, Answers]) -> None:
    """Write a CSV of answers, a row a face, with empty fields to fill in where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", *answers])
    for face in faces:
        writer.writerow([face, *("" if face not in given else f"{given[face]:g}" for given in answers.values())])
    write_text(path, text.getvalue())


def asked(path: str | Path) -> list[int]:
    """The faces that a CSV of :func:`write_answers` has asked about, answered or not; none where there is no file."""
    if not Path(path).is_file() or len(Path(path).read_text(encoding="utf-8-sig").split()) < 2:
        return []
    columns = read_columns(path)
    if "index" not in columns:
        raise UserError(f"{path}: a column index expected; its header is {', '.join(columns)}")
    faces = [_face(value, "index", (), None, f"{path}, row {i + 1}") for i, value in enumerate(columns["index"])]
    return list(dict.fromkeys(faces))
