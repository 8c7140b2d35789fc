"""The command and its refusals."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from ifgan_pl.app import start
from ifgan_pl.attributes.labels import read_answers
from ifgan_pl.core.errors import UserError
from tests.commands import failure
from tests.processes import environment


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "password"),
        (["--host", "::"], "password"),
        (["--gen", "x"], "unrecognized arguments: --gen"),
        (["--port", "x"], "invalid int value"),
        (["--port", "70000"], "ports go from 0"),
        (["--host", "127.0.0.1", "--generator", "no-such", "--port", "0"], "unknown generator"),
        (["--generator", "digiface-dcgan", "--port", "0"], "--boundary"),
        (["--boundary", "no-such", "--port", "0"], "no such file"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: pytest.fail("it was let through"))
    assert says in failure(lambda given: start.main(given), capsys, *arguments)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        start.main(["--help"])
    assert not ended.value.code
    text = capsys.readouterr().out
    assert all(option in text for option in ("--generator", "--boundary", "--port", "--password", "127.0.0.1"))


@pytest.fixture
def serve(boundary_file: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start a server in a process of its own; what it says until it is there."""
    running: list[subprocess.Popen[str]] = []
    (tmp_path / "temporary").mkdir()

    def started(*options: str) -> tuple[subprocess.Popen[str], list[str]]:
        command = [sys.executable, "-m", "ifgan_pl.app", "--generator", "digiface-dcgan", "--boundary"]
        command += [str(boundary_file), "--out", str(tmp_path / "taught"), *options]
        surroundings = environment() | {"TMPDIR": str(tmp_path / "temporary")}
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=surroundings, text=True))
        said = []
        assert running[-1].stdout is not None
        for line in running[-1].stdout:
            said.append(line.strip())
            if line.startswith("The page: "):
                break
        return running[-1], said

    yield started
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_kill_and_a_restart(serve: Callable[..., Any], tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "me.png")
    photograph = (tmp_path / "me.png").read_bytes()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process, said = serve("--port", str(port))
        address = said[1].split()[2]
        assert said[0] == f"port {port} is in use; taking {address.rpartition(':')[2]}"
    with httpx.Client(base_url=address, headers={"x-session": "new"}, timeout=60) as client:
        client.headers["x-session"] = client.post("/api/start", json={}).json()["session"]
        for number in (7, 9):
            client.post("/api/answer", json={"name": "scarf", "number": number, "value": 1})
        client.post("/api/upload", content=photograph, headers={"x-name": "me.png"})
    assert len(list((tmp_path / "temporary").rglob("me.png"))) == 1
    process.kill()
    process.wait()
    assert read_answers([tmp_path / "taught/scarf.csv"], ["scarf"])["scarf"] == {7: 1.0, 9: 1.0}
    process, said = serve("--port", "0")
    assert not list((tmp_path / "temporary").rglob("me.png")), "what the killed one left is removed"
    with httpx.Client(base_url=said[0].split()[2], headers={"x-session": "new"}, timeout=60) as client:
        client.headers["x-session"] = client.post("/api/start", json={}).json()["session"]
        assert client.post("/api/lessons", json={}).json()["begun"] == {"scarf": 2}
        client.post("/api/upload", content=photograph, headers={"x-name": "me.png"})
    assert len(list((tmp_path / "temporary").rglob("me.png"))) == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert list((tmp_path / "temporary").glob("ifgan-app-*")) == []


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start.listen("127.0.0.1", port) as found:
            assert port < found.getsockname()[1] < port + start.PORTS_TRIED


def test_answers_leave_at_once() -> None:
    """Without TCP_NODELAY the body of each answer waits 40 ms for the browser to acknowledge its head."""

    async def option() -> int:
        found = asyncio.get_running_loop().create_future()
        listener = start.listen("127.0.0.1", 0)
        server = await asyncio.start_server(lambda _, writer: found.set_result(writer), sock=listener)
        async with server:
            _, mine = await asyncio.open_connection(*listener.getsockname())
            accepted = (await found).get_extra_info("socket")
            mine.close()
            return int(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    assert asyncio.run(option())


def test_only_this_machine_is_local() -> None:
    assert all(start.is_local(host) for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1"))
    assert not any(start.is_local(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match="--host"):
        start.listen("192.0.2.1", 7860)


def test_options_say_none_by_name() -> None:
    assert [start.chosen(given, "x") for given in (None, "none", "y")] == ["x", None, "y"]
