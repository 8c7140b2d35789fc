"""The folder that ``edit.py`` fills, without a generator."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.editing.outputs import CELL, EditOutputs
from ifgan_pl.editing.plan import Column, EditPlan, Subject
from ifgan_pl.images.write import Pixels, read_provenance

PLAN = EditPlan(
    [Column("original", {}), Column("edited", {"smile": 2.0})], "a title", hold=("age",), provenance={"seed": 0}
)
GREYS = (50, 200)


def face(number: int) -> list[Pixels]:
    """An image of each column, of one grey and a pixel that tells the faces apart."""
    images = [np.full((32, 32, 3), grey, np.uint8) for grey in GREYS]
    for image in images:
        image[0, 0] = number
    return images


def fill(outputs: EditOutputs) -> list[Path]:
    for position in outputs.begin():
        outputs.write_face(position, face(position), [[0.0, 1.0], [0.5, -1.0]])
    return outputs.finish()


def test_every_face_has_its_files_and_a_row_of_the_table_for_each_column(tmp_path: Path) -> None:
    outputs = EditOutputs(tmp_path / "out", PLAN, [7, 40], formats=["png", "strip"], attributes=["smile", "age"])
    assert not outputs.check(resume=False)
    assert fill(outputs) == [tmp_path / "out/strip.png", tmp_path / "out/edits.csv"]
    names = {f"{number:06d}_{column}.png" for number in (7, 40) for column in ("original", "smile+2")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"strip.png", "edits.csv", "provenance.json"}
    with Image.open(tmp_path / "out/000040_smile+2.png") as image:
        assert [image.getpixel((0, 0)), image.getpixel((9, 9))] == [(1,) * 3, (GREYS[1],) * 3]
    assert read_provenance(tmp_path / "out/000040_smile+2.png")["edit"] == {"smile": 2.0}
    with open(tmp_path / "out/edits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["index"], row["column"], row["file"]) for row in rows[2:]] == [
        ("40", "original", "000040_original.png"),
        ("40", "edited", "000040_smile+2.png"),
    ]
    assert (rows[3]["before_smile"], rows[3]["after_smile"], rows[3]["after_age"]) == ("0.0000", "0.5000", "-1.0000")


def test_sheets_are_broken_into_pages_and_a_face_keeps_its_place(tmp_path: Path) -> None:
    outputs = EditOutputs(tmp_path / "out", PLAN, range(65), formats=["strip", "grid"])
    names = [path.name for path in fill(outputs)]
    assert names[:6] == [f"strip-{page:03d}.png" for page in range(6)]
    assert names[6:10] == [f"grid_{c}-{page:03d}.png" for page in range(2) for c in ("original", "smile+2")]
    with Image.open(tmp_path / "out/strip-005.png") as last, Image.open(tmp_path / "out/strip-000.png") as first:
        assert first.height - last.height == 7 * (CELL + 4)  # 12 rows, and 5
        assert last.convert("L").getpixel((last.width - 30, last.height - 30)) == GREYS[1]
    assert read_provenance(tmp_path / "out/strip-005.png")["index"] == [60, 61, 62, 63, 64]


def test_a_run_continues_with_the_faces_that_are_not_done(tmp_path: Path) -> None:
    first = EditOutputs(tmp_path / "out", PLAN, [3, 4, 5])
    assert first.begin() == [0, 1, 2]
    first.write_face(1, face(4), None)
    (tmp_path / "out/.000005_original.png.ab12.png").write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"2 of 3 faces are not done: .*--resume"):
        first.finish()
    again = EditOutputs(tmp_path / "out", PLAN, [3, 4, 5])
    with pytest.raises(UserError, match=r"is not empty: .*--resume"):
        again.check(resume=False)
    assert not again.check(resume=True)
    assert again.begin() == [0, 2]
    fill(again)
    assert not list((tmp_path / "out").glob(".*"))
    assert again.check(resume=True)


def test_another_request_is_named(tmp_path: Path) -> None:
    fill(EditOutputs(tmp_path / "out", PLAN, [3]))
    other = EditPlan(PLAN.columns, "a title", hold=(), truncation=0.5, provenance={"seed": 1})
    with pytest.raises(UserError, match=r"other faces; hold .* -> \[\]; seed 0 -> 1; truncation 0.7 -> 0.5"):
        EditOutputs(tmp_path / "out", other, [4]).check(resume=True)
    record = tmp_path / "out/provenance.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"numerics": "of another machine"}))
    assert EditOutputs(tmp_path / "out", PLAN, [3]).check(resume=True)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UserError, match="holds no interrupted run"):
        EditOutputs(tmp_path, PLAN, [3]).check(resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def in_a_photograph(number: int, digest: str = "ab") -> Subject:
    return Subject({"photo": "a b.jpg", "face": number, "digest": digest}, f"faces/a-b-{number}", f"a b {number}")


def test_faces_in_photographs_have_names_notes_and_their_images_kept(tmp_path: Path) -> None:
    faces = [in_a_photograph(0), in_a_photograph(1)]
    outputs = EditOutputs(tmp_path / "out", PLAN, faces, formats=["jpg", "html", "strip"], keep=True)
    for position in outputs.begin():
        notes = [{"identity": f"0.{position}"}, {"identity": "0.5"}]
        outputs.write_face(position, face(position), None, notes)
    assert (outputs.kept(1, 0) == face(1)[0]).all()
    assert (outputs.kept(1, 1) == face(1)[1]).all()
    outputs.finish()
    assert (tmp_path / "out/faces/a-b-1_smile+2.jpg").is_file()
    assert "faces/a-b-0" in (tmp_path / "out/index.html").read_text()
    assert read_provenance(tmp_path / "out/faces/a-b-1_smile+2.jpg")["index"] == faces[1].index
    with open(tmp_path / "out/edits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["face"], row["identity"]) for row in rows[1:3]] == [
        ("a b.jpg", "0", "0.5"),
        ("a b.jpg", "1", "0.1"),
    ]
    again = EditOutputs(tmp_path / "out", PLAN, [in_a_photograph(0, "cd")], formats=["jpg", "html", "strip"], keep=True)
    with pytest.raises(UserError, match=r"other faces in a b\.jpg"):
        again.check(resume=True)
