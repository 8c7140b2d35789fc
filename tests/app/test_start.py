"""The command and its refusals."""

import socket

import pytest
import uvicorn

from ifgan_pl.app import start
from ifgan_pl.core.errors import UserError
from tests.commands import failure


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


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start.listen("127.0.0.1", port) as found:
            assert port < found.getsockname()[1] < port + start.PORTS_TRIED


def test_only_this_machine_is_local() -> None:
    assert all(start.is_local(host) for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1"))
    assert not any(start.is_local(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match="--host"):
        start.listen("192.0.2.1", 7860)


def test_options_say_none_by_name() -> None:
    assert [start.chosen(given, "x") for given in (None, "none", "y")] == ["x", None, "y"]
