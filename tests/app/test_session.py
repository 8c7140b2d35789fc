"""A visitor's edits: what is set, kept, undone and refused."""

from dataclasses import replace
from typing import Any

import pytest

from ifgan_pl.app.house import House
from ifgan_pl.app.models import Face
from ifgan_pl.app.session import STEPS_BACK, Session
from ifgan_pl.core.errors import UserError


def test_a_face_by_number_and_by_chance(session: Session) -> None:
    session.choose(40)
    assert session.state()["number"] == 40
    session.choose()
    assert 0 <= session.state()["number"] < 100_000
    for wrong in (-1, 10**9):
        with pytest.raises(UserError, match="numbers from 0"):
            session.choose(wrong)


def test_undo_goes_back_to_what_was_kept_not_to_what_passed(session: Session) -> None:
    session.change({"smile": 1.0})
    for strength in (1.2, 1.5, 1.9):
        session.change({"smile": strength}, keep=False)
    session.change({"smile": 2.0})
    assert session.undo()
    assert session.edit.moved == {"smile": 1.0}
    assert session.undo()
    assert session.edit.moved == {}
    assert not session.undo()


def test_undo_brings_the_face_back_too(session: Session) -> None:
    session.choose(5)
    session.change({"age": 1.0}, hold=["smile"])
    session.choose(6)
    assert (session.edit.face.number, session.edit.moved, session.edit.hold) == (6, {}, ("smile",))
    session.undo()
    assert (session.edit.face.number, session.edit.moved) == (5, {"age": 1.0})


def test_reset_keeps_the_holds(session: Session) -> None:
    session.change({"age": 1.0}, hold=["smile"])
    session.reset()
    assert (session.edit.moved, session.edit.hold) == ({}, ("smile",))
    session.undo()
    assert session.edit.moved == {"age": 1.0}


def test_what_changes_nothing_is_no_step(session: Session) -> None:
    session.change({"age": 1.0})
    session.change({"age": 1.0})
    assert len(session.history) == 1


def test_the_way_back_has_an_end(session: Session) -> None:
    for step in range(STEPS_BACK + 20):
        session.change({"age": step / 100 + 0.01})
    assert len(session.history) == STEPS_BACK


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        ({"beard": 1.0}, {}, "unknown attribute 'beard'"),
        ({"age": float("nan")}, {}, "strengths"),
        ({"age": 1e9}, {}, "strengths"),
        ({"age": 1.0}, {"hold": ["beard"]}, "unknown attribute"),
        ({"age": 1.0}, {"layers": "a-b"}, "indices and ranges"),
        ({"age": 1.0}, {"layers": "0-7"}, "rows"),
        ({"age": 1.0}, {"truncation": 2.0}, "psi"),
        ({"age": 1.0}, {"unit": "inch"}, "unknown unit"),
    ],
)
def test_what_is_refused_changes_nothing(
    session: Session, changes: dict[str, float], options: dict[str, Any], says: str
) -> None:
    session.change({"age": 1.0})
    before = session.state()
    with pytest.raises(UserError, match=says):
        session.change(changes, **options)
    assert session.state() == before


def test_images_come_from_the_edit_that_was_asked_for(session: Session) -> None:
    plain = session.full().future.result(60)
    session.change({"age": 2.0})
    job = session.preview()
    session.reset()
    edited = job.future.result(60)
    assert edited.predicted["age"] - plain.predicted["age"] == pytest.approx(2, abs=0.01)
    assert session.original().future.result(60).jpeg == plain.jpeg
    assert session.full().future.result(60).jpeg == plain.jpeg


def test_codes_of_a_face_s_own_are_edited(session: Session) -> None:
    code = session.models.code(session.edit) + 0.5
    session.take(Face(0, codes=code))
    image = session.full().future.result(60)
    session.edit = replace(session.edit, face=Face(0))
    assert image.jpeg != session.full().future.result(60).jpeg


def test_a_closed_session_leaves_nothing(session: Session, house: House) -> None:
    session.change({"age": 1.0})
    session.download("image").future.result(60)
    assert session.folder.is_dir()
    house.close(session.name)
    assert not session.folder.exists()
    assert house.find(session.name) is None
