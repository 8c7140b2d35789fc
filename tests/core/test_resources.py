"""Where things are found, and who waits for whom."""

import subprocess
import sys
from pathlib import Path

import pytest

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import cache_dir, find, import_attribute, locked, resource
from tests.processes import ROOT, environment


def test_a_user_s_file_goes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "checkpoints" / "ffhq-mobile-w.safetensors"
    for name in ("ffhq-mobile-w", "ffhq-mobile-w.safetensors", "checkpoints/ffhq-mobile-w.safetensors"):
        assert find(name, "checkpoints", (".safetensors",)) == shipped
    Path("ffhq-mobile-w.safetensors").touch()
    assert find("ffhq-mobile-w.safetensors", "checkpoints", (".safetensors",)) == Path("ffhq-mobile-w.safetensors")
    assert resource("checkpoints/ffhq-mobile-w.safetensors") == shipped


def test_what_is_not_there_lists_what_ships() -> None:
    with pytest.raises(UserError, match=r"no such file: nobody \(shipped: .*boundary_paper.*scorer_faces"):
        find("nobody", "configs", (".yaml",))
    with pytest.raises(UserError, match=r"no such file: .*checkpoints \(shipped: none\)"):  # a folder is no file
        find(ROOT / "checkpoints", "nowhere", (".ckpt",))
    with pytest.raises(FileNotFoundError, match=r"checkpoints/nothing\.ckpt does not ship"):
        resource("checkpoints/nothing.ckpt")


def test_modules_of_the_working_directory_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine_alone", raising=False)
    Path("mine_alone.py").write_text("answer = 42\n")
    assert import_attribute("mine_alone:answer", "scorer") == 42
    for name in ("mine_alone:question", "nowhere_at_all:answer", "mine_alone", ":answer"):
        with pytest.raises(UserError, match=f"cannot import the scorer {name}"):
            import_attribute(name, "scorer")


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("IFGAN_PL_CACHE")
    assert cache_dir() == tmp_path / "caches" / "ifgan_pl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == tmp_path / "home" / ".cache" / "ifgan_pl"


WAITING = """
import sys
from pathlib import Path
from ifgan_pl.core.resources import locked

print("started", flush=True)
with locked(Path(sys.argv[1])):
    print("held", flush=True)
"""


def test_of_two_processes_one_waits(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "weights.safetensors"
    command = [sys.executable, "-c", WAITING, str(path)]
    with locked(path):
        other = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "started\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.3)
    assert other.communicate(timeout=60)[0] == "held\n"
    assert not path.exists()  # only the lock is made
