"""Teaching an attribute: from answers to a boundary, with nothing lost on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ifgan_pl.app import teach
from ifgan_pl.app.house import House
from ifgan_pl.app.models import Edit, Face, Models
from ifgan_pl.app.session import Session
from ifgan_pl.app.teach import BATCH, School
from ifgan_pl.attributes.faces import Faces
from ifgan_pl.attributes.labels import read_answers
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.loading import load_scorer


@pytest.fixture
def house(models: Models, small_scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(teach, "KNOWN", 512)
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path / "cache"))
    models.scorer = load_scorer(small_scorer)
    made = House(models, taught=tmp_path / "taught")
    yield made
    made.shut()


def all_faces(house: House, session: Session) -> Faces:
    faces: Faces = session.compute("lesson", lambda job: house.school.faces(session.models, job)).future.result(120)
    return faces


def wears(faces: Faces) -> list[float]:
    """What a visitor would say of each face: something that both its code and its image tell."""
    assert faces.codes is not None
    return (faces.codes[:, :3].sum(1) > 0.3).float().tolist()


def test_from_the_first_face_to_a_boundary(house: House) -> None:
    session = house.open()
    faces, lesson = all_faces(house, session), house.school.lesson(session.models, "scarf")
    truth = wears(faces)
    found = session.compute("learn", lambda job: lesson.learn(faces, job)).future.result(60)
    assert (found.figures, found.images) == ({}, [])
    assert "answers" in found.text
    with pytest.raises(UserError, match="answer more"):
        lesson.save()
    for _ in range(6):
        numbers = lesson.suggest(faces)
        assert len(numbers) == BATCH
        assert not set(numbers) & set(lesson.asked)
        for number in numbers:
            lesson.answer(number, truth[number])
        found = session.compute("learn", lambda job: lesson.learn(faces, job)).future.result(60)
    assert len(lesson.answers) == 6 * BATCH
    assert found.figures["value"] > 0.7
    assert found.figures["low"] < found.figures["value"] < found.figures["high"]
    assert "AUROC" in found.text
    assert [len(row) for row in found.images] == [3, 3, 3]
    path = lesson.save()
    boundary = LinearBoundary.load(path)
    assert boundary.attributes == ("smile", "age", "hat", "scarf")
    taught = session.models.with_boundary(boundary, path)
    face = Edit(Face(3), truncation=1.0)
    edited = Edit(Face(3), changes={"scarf": 2.0}, hold=("smile",), truncation=1.0)
    before, after = (taught.predict(taught.edited(edit)) for edit in (face, edited))
    assert after["scarf"] - before["scarf"] == pytest.approx(2, abs=0.05)
    assert after["smile"] == pytest.approx(before["smile"], abs=0.01)
    # another attribute is added to what was saved
    other = house.school.lesson(session.models, "tie")
    assert other.base().attributes == boundary.attributes


def test_answers_outlive_a_kill(house: House, tmp_path: Path) -> None:
    session = house.open()
    lesson = house.school.lesson(session.models, "scarf")
    lesson.answer(7, 1.0)
    lesson.answer(9, 0.0)
    lesson.answer(11, None)
    lesson.answer(9, 1.0)  # thought better of it
    again = School(tmp_path / "taught")
    assert again.begun() == {"scarf": 2}
    assert again.lesson(session.models, "scarf").answers == {7: 1.0, 9: 1.0}
    assert again.lesson(session.models, "scarf").asked == [7, 9, 11]
    assert read_answers([lesson.path], ["scarf"])["scarf"] == {7: 1.0, 9: 1.0}  # as train.py attribute reads them


def test_two_visitors_who_teach_the_same_share_it(house: House) -> None:
    one, two = house.open(), house.open()
    assert house.school.lesson(one.models, "scarf") is house.school.lesson(two.models, "scarf")


@pytest.mark.parametrize("name", ["", "../x", "Beard", "a b", "x" * 41, "1st", "beard.csv", "béard"])
def test_names_are_words(house: House, name: str) -> None:
    with pytest.raises(UserError, match="small letters"):
        house.school.lesson(house.models, name)


def test_a_name_that_is_there_is_refused(house: House) -> None:
    with pytest.raises(UserError, match="there is smile already"):
        house.school.lesson(house.models, "smile")


def test_a_coin_teaches_nothing(house: House) -> None:
    session = house.open()
    faces, lesson = all_faces(house, session), house.school.lesson(session.models, "luck")
    coin = torch.rand(len(faces), generator=torch.Generator().manual_seed(0)) > 0.5
    for number in range(60):
        lesson.answer(number, float(coin[number]))
    found = session.compute("learn", lambda job: lesson.learn(faces, job)).future.result(60)
    assert found.images == []
    assert "coin" in found.text


def test_without_a_scorer_nothing_can_be_taught(models: Models, tmp_path: Path) -> None:
    house = House(models, taught=tmp_path)
    try:
        session = house.open()
        with pytest.raises(UserError, match="needs a scorer"):
            all_faces(house, session)
    finally:
        house.shut()
