"""Answers in CSV files: what is read, what is kept, and what is refused in one line."""

from pathlib import Path

import pytest

from ifgan_pl.attributes.labels import asked, read_answers, write_answers
from ifgan_pl.core.errors import UserError


def test_several_files_and_attributes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("index,beard,hat\n3,1,0\n5,,1\n\n3,1,\n")
    (tmp_path / "b.csv").write_text("index,beard\n7,0.5\n")
    assert read_answers([tmp_path / "a.csv"]) == {"beard": {3: 1.0}, "hat": {3: 0.0, 5: 1.0}}
    assert read_answers([tmp_path / "a.csv", tmp_path / "b.csv"], ["beard"]) == {"beard": {3: 1.0, 7: 0.5}}


def test_rows_may_name_image_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,beard\nx.jpg,1\nsub/y.png,0\nz,1\n")
    files = ["photos/x.jpg", "sub/y.png", "photos/z.webp"]
    assert read_answers([tmp_path / "a.csv"], files=files) == {"beard": {0: 1.0, 1: 0.0, 2: 1.0}}
    with pytest.raises(UserError, match=r"row 3: no image z among the 2 of --images"):
        read_answers([tmp_path / "a.csv"], files=files[:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index,beard\n200,1\n", r"row 1: face 200 is not among the 100 known; give --num 201 or more"),
        ("index,beard\n-1,1\n", "whole number from 0 on, got '-1'"),
        ("index,beard\n1.5,1\n", "whole number from 0 on, got '1.5'"),
        ("index,beard\n1,nan\n", "row 1: beard is 'nan'; write 1, 0, another number, or nothing"),
        ("index,beard\n1,yes\n", "beard is 'yes'"),
        ("index,beard\n1,inf\n", "beard is 'inf'"),
        (
            "index,beard\n1,1\n2,0\n1,0\n",
            r"face 1 is both 1 \(.*row 1\) and 0 \(.*row 3\) for beard: keep the right one",
        ),
        ("index,hat\n1,1\n", "has no column beard; its header is index, hat"),
        ("face,beard\n1,1\n", "a column index expected; its header is face, beard"),
        ("file,beard\na.jpg,1\n", "a column index expected"),
        ("index,beard\n", "at least one row expected"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_answers([path], ["beard"], num=100)


def test_a_contradiction_between_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("index,beard\n1,1\n")
    (tmp_path / "b.csv").write_text("index,beard\n1,0\n")
    with pytest.raises(UserError, match=r"a\.csv, row 1.*b\.csv, row 1"):
        read_answers([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_what_was_asked_is_kept_answered_or_not(tmp_path: Path) -> None:
    path = tmp_path / "sheet" / "labels.csv"
    assert asked(path) == []
    write_answers(path, [9, 4, 2], {"beard": {4: 1.0, 2: 0.25}})
    assert path.read_text() == "index,beard\n9,\n4,1\n2,0.25\n"
    assert asked(path) == [9, 4, 2]
    assert read_answers([path]) == {"beard": {4: 1.0, 2: 0.25}}
    path.write_text("beard\n1\n")
    with pytest.raises(UserError, match="a column index expected"):
        asked(path)
