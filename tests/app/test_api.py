"""Every request of the page, without a page."""

import base64
import json
from typing import Any

import pytest

from ifgan_pl.app import api
from ifgan_pl.app.house import House
from ifgan_pl.app.session import Session
from ifgan_pl.core.errors import UserError


def ask(house: House, session: Session, name: str, **body: Any) -> dict[str, Any]:
    answer = api.REQUESTS[name](house, session, body)
    if isinstance(answer, api.Pending):
        answer = answer.convert(answer.job.future.result(60))
    return dict(json.loads(json.dumps(answer, allow_nan=False)))


def is_jpeg(address: str) -> bool:
    return base64.b64decode(address.removeprefix("data:image/jpeg;base64,")).startswith(b"\xff\xd8")


def test_a_page_from_its_start_to_its_file(house: House, session: Session) -> None:
    house.ready.wait(60)
    told = ask(house, session, "start")
    assert told["session"] == session.name
    assert [a["name"] for a in told["models"]["attributes"]] == ["smile", "age", "hat"]
    assert told["ready"] is True
    assert ask(house, session, "face", number=9)["state"]["number"] == 9
    moving = ask(house, session, "edit", changes={"smile": 1.5}, hold=["age"])
    assert is_jpeg(moving["image"])
    assert moving["predicted"]["smile"] > 1
    kept = ask(house, session, "edit", changes={"smile": 2}, hold=["age"], keep=True, full=True)
    assert kept["size"] == 64
    assert (
        "--edit smile=+2 --hold age --seeds 9"
        in ask(house, session, "commands", attribute="smile")["commands"]["image"]
    )
    file = ask(house, session, "download", kind="image")
    assert file["name"] == "000009_smile+2.png"
    assert base64.b64decode(file["data"]).startswith(b"\x89PNG")
    assert is_jpeg(ask(house, session, "original")["image"])
    assert ask(house, session, "undo")["state"]["changes"] == {}
    assert ask(house, session, "reset")["state"]["changes"] == {}
    assert ask(house, session, "show")["size"] == 64


def test_exploring(house: House, session: Session) -> None:
    found = ask(house, session, "search", wanted={}, page=1)
    assert len(found["numbers"]) == 24
    images = ask(house, session, "thumbnails", numbers=found["numbers"][:2])["images"]
    assert [int(number) for number in images] == found["numbers"][:2]
    assert all(is_jpeg(image) for image in images.values())
    assert len(ask(house, session, "strip", number=3, attribute="hat")["images"]) == 7
    assert 3 not in ask(house, session, "neighbours", number=3)["numbers"]
    assert len(ask(house, session, "neighbours")["numbers"]) == 24


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("face", {"number": "seven"}, "a number expected"),
        ("face", {"number": 1.5}, "whole number"),
        ("face", {"number": True}, "a number expected"),
        ("edit", {"changes": [1]}, "names with values"),
        ("edit", {"changes": {"smile": "much"}}, "smile: a number"),
        ("edit", {"changes": {"beard": 1}}, "unknown attribute"),
        ("search", {"page": -1}, "page"),
        ("strip", {"attribute": "smile"}, "number"),
        ("download", {"kind": "exe"}, "unknown kind"),
        ("commands", {"attribute": "beard"}, "unknown attribute"),
        ("picture", {}, "send one first"),
        ("invert", {"points": [[1, 2], [3, 4]]}, "three places"),
        ("invert", {"points": [[1, 2], [3, 4], "56"]}, "three places"),
        ("invert", {"points": [[1, 2], [3, 4], [5, None]]}, "a number expected"),
        ("invert", {"face": -1}, "whole number"),
    ],
)
def test_nonsense_is_answered_in_a_sentence(house: House, session: Session, name: str, body: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ask(house, session, name, **body)
