"""Visitors come, are silent, and leave nothing behind."""

import time

import pytest

from ifgan_pl.app import house as rooms
from ifgan_pl.app.house import House
from ifgan_pl.app.models import Models


def test_two_visitors_have_two_sessions(house: House) -> None:
    one, two = house.open(), house.open()
    one.choose(5)
    assert two.edit.face.number == 0
    assert house.find(one.name) is one
    assert len(one.name) > 30
    assert house.find("somebody") is None


def test_the_silent_leave(house: House) -> None:
    one, two = house.open(), house.open()
    one.seen = time.monotonic() - rooms.IDLE - 1
    house.sweep()
    assert list(house.sessions) == [two.name]


def test_a_closed_page_may_come_back_for_a_while(house: House) -> None:
    session = house.open()
    house.leave(session.name)
    house.sweep()
    assert house.find(session.name) is session  # it was only loaded again
    house.leave(session.name)
    session.seen -= rooms.LEAVING + 1
    house.sweep()
    assert not house.sessions


def test_too_many_visitors_push_out_the_most_silent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MOST_SESSIONS", 3)
    first, second, third = (house.open() for _ in range(3))
    first.seen = third.seen + 1
    house.open()
    assert second.name not in house.sessions
    assert len(house.sessions) == 3


def test_the_scorer_comes_later_and_its_absence_is_no_end(models: Models, caplog: pytest.LogCaptureFixture) -> None:
    house = House(models, scorer="no-such-scorer")
    try:
        assert house.ready.wait(60)
        assert models.scorer is None
        assert "no-such-scorer" in caplog.text
        assert house.catalogue.search({})[0] > 0
    finally:
        house.shut()
    assert not house.folder.exists()
