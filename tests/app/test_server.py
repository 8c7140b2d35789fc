"""What HTTP lets in, and how answers come."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from ifgan_pl.app import api, server
from ifgan_pl.app.api import Pending
from ifgan_pl.app.house import House
from ifgan_pl.app.session import Session
from ifgan_pl.app.worker import Job
from tests.app.browser import served

HOME = "http://127.0.0.1:7860"


@pytest.fixture
def client(house: House) -> Any:
    return TestClient(server.make_server(house, names=("127.0.0.1", "localhost")), base_url=HOME)


def begin(client: Any) -> dict[str, str]:
    answer = client.post("/api/start", json={}, headers={"x-session": "new"})
    return {"x-session": answer.json()["session"]}


def test_the_page_and_nothing_else_is_served(client: Any) -> None:
    for path, (_, kind) in server.PAGE.items():
        answer = client.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == kind
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http" not in answer.text.replace("http://www.w3.org", ""), "nothing comes from elsewhere"
    for path in ("/models.py", "/page/app.js", "/../models.py", "/%2e%2e/models.py", "/api/start", "/favicon.ico"):
        assert client.get(path).status_code in (404, 405)


def test_a_visitor_needs_a_session(client: Any) -> None:
    assert client.post("/api/show", json={}).json()["ended"]
    assert client.post("/api/start", json={}).json()["ended"]  # without our header: another site's form
    headers = begin(client)
    assert client.post("/api/show", json={}, headers=headers).json()["size"] == 64
    assert client.post("/api/start", json={}, headers=headers).json()["session"] == headers["x-session"]
    assert client.post("/api/nothing", json={}, headers=headers).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[::1", "0.0.0.0:7860"])
def test_other_hosts_names_are_turned_away(client: Any, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/", headers={"host": "localhost:1234"}).status_code == 200


def test_other_pages_requests_are_turned_away(client: Any) -> None:
    headers = begin(client)
    assert client.post("/api/show", json={}, headers={**headers, "origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/show", json={}, headers={**headers, "origin": HOME}).status_code == 200


def test_long_work_comes_in_lines(client: Any) -> None:
    headers = begin(client)
    client.post("/api/edit", json={"changes": {"smile": 1}, "keep": True}, headers=headers)
    answer = client.post("/api/download", json={"kind": "image"}, headers=headers)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert base64.b64decode(lines[-1]["result"]["data"]).startswith(b"\x89PNG")
    answer = client.post("/api/strip", json={"number": 1, "attribute": "beard"}, headers=headers)
    assert "unknown attribute" in json.loads(answer.text.splitlines()[-1])["error"]


def test_mistakes_are_sentences(client: Any) -> None:
    headers = begin(client)
    for body in (b"{", b"[]", b'{"a": NaN}', b"\xff", b"[" * 100_000):
        answer = client.post("/api/edit", content=body, headers=headers)
        assert answer.json()["error"].startswith("a request is")


def test_large_bodies_are_refused_and_not_kept(client: Any) -> None:
    headers = begin(client)

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield bytes(64 * 1024)

    for content in (bytes(server.LARGEST_REQUEST + 1), endless()):
        answer = client.post("/api/edit", content=content, headers=headers)
        assert "too large" in answer.json()["error"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xd8" + bytes(50 * 1024**2), "32 MB is the most"),
        (b"import os; os.remove('x')", "me.py is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    ],
    ids=["50 MB", "program", "drawing"],
)
def test_uploads_that_are_no_photographs_are_refused_and_not_kept(
    client: Any, house: House, data: bytes, says: str
) -> None:
    headers = begin(client)
    answer = client.post("/api/upload", content=data, headers={**headers, "x-name": "..%2F..%2Fme.py"})
    assert says in answer.json()["error"]
    assert [path for path in house.folder.rglob("*") if path.is_file() and path.name != "lock"] == []
    assert "send one first" in client.post("/api/invert", json={"face": 0}, headers=headers).json()["error"]


def test_a_closed_page_is_heard(client: Any, house: House) -> None:
    headers = begin(client)
    session = house.sessions[headers["x-session"]]
    seen = session.seen
    assert client.post("/api/leave", content=headers["x-session"]).status_code == 204
    assert session.seen < seen
    assert client.post("/api/leave", content="nobody").status_code == 204


def test_with_a_password_nobody_else_gets_in(house: House) -> None:
    client = TestClient(server.make_server(house, names=None, password="sésame"), base_url="http://10.0.0.1:7860")
    assert client.get("/").status_code == 401
    for given in ("wrong", "sesame", ""):
        assert client.get("/", auth=("me", given)).status_code == 401
    for header in ("Basic", "Basic ???", "Bearer x", f"Basic {base64.b64encode(b'nocolon').decode()}"):
        assert client.get("/", headers={"authorization": header}).status_code == 401
    right = f"Basic {base64.b64encode('me:sésame'.encode()).decode()}"
    assert client.get("/", headers={"authorization": right}).status_code == 200


def test_who_leaves_in_the_middle_ends_the_work(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def endless(job: Job) -> None:
        try:
            while True:
                job.step(1, 2)
                time.sleep(0.01)
        finally:
            ended.set()

    def ask(house: House, session: Session, body: Any) -> Pending:
        return Pending(session.compute("endless", endless), dict)

    monkeypatch.setitem(api.REQUESTS, "endless", ask)
    with served(house) as where, httpx.Client(base_url=where, headers={"x-session": "new"}) as client:
        client.headers["x-session"] = client.post("/api/start", json={}).json()["session"]
        with client.stream("POST", "/api/endless", json={}) as answer:
            assert json.loads(next(answer.iter_lines())) == {"done": 1, "total": 2, "ahead": 0}
            assert not ended.is_set()
        assert ended.wait(30)
