"""Where things are found: what ships with the package, the user's cache, and objects of the user's own modules."""

import fcntl
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ifgan_pl.core.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE, PACKAGE.parent)
"""A wheel carries ``configs`` and ``checkpoints`` inside the package; a checkout has them beside it."""


def resource(path: str | Path) -> Path:
    """A shipped file such as ``checkpoints/scorer-faces.ckpt``, as a path on disk; see also :func:`find`.

    Raises:
        FileNotFoundError: it does not ship.
    """
    for place in PLACES:
        if (place / path).exists():
            return place / path
    raise FileNotFoundError(f"{path} does not ship with ifgan_pl")


def find(name: str | Path, folder: str, suffixes: tuple[str, ...]) -> Path:
    """A user's file, or a shipped one by its name: ``ffhq-mobile-w`` and ``checkpoints/ffhq-mobile-w.safetensors``.

    Args:
        name: a path on disk (looked up first), a shipped path, or the bare name of a shipped file.
        folder: where shipped files of this sort are, e.g. ``checkpoints``.
        suffixes: endings to try after a bare name.

    Raises:
        UserError: nothing of that name; the message lists what ships.
    """
    if Path(name).is_file():
        return Path(name)
    candidates = [str(name), *(f"{folder}/{name}{suffix}" for suffix in ("", *suffixes))]
    for place in PLACES:
        for candidate in candidates:
            if (place / candidate).is_file():
                return place / candidate
    shipped = sorted({f.stem for p in PLACES for s in suffixes for f in (p / folder).glob(f"*{s}")})
    raise UserError(f"no such file: {name} (shipped: {', '.join(shipped) or 'none'})")


def import_attribute(name: str, what: str) -> Any:
    """The object at ``module:attribute``; modules in the working directory are found, as by ``python -m``.

    Args:
        name: import path and, behind a colon, a name in that module.
        what: what it should be, for the message.

    Raises:
        UserError: no such module or no such name in it.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:  # an installed console script has not the working directory on its path
        sys.path.insert(0, folder)
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"cannot import the {what} {name}: {error}") from error


def cache_dir() -> Path:
    """``$IFGAN_PL_CACHE``, else ``ifgan_pl`` in the user's cache directory."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ifgan_pl"
    return Path(os.environ.get("IFGAN_PL_CACHE") or default)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock beside ``path``: of several processes one works, the others wait and find its result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
