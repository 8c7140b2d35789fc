"""Commands run in this process, and what they leave."""

from collections.abc import Callable
from pathlib import Path

import pytest


def failure(command: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The single line that a mistake prints, whether or not a generator was fetched before it."""
    with pytest.raises(SystemExit) as exit_:
        command(list(arguments))
    assert exit_.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line and not line.startswith("fetching ")]
    assert len(lines) == 1, lines
    return lines[0]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder: its path in it, and its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
