"""Who is there and what all of them share: sessions by their secret names, and the scorer that arrives later."""

import fcntl
import importlib
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from ifgan_pl.app.explore import Catalogue
from ifgan_pl.app.models import Models
from ifgan_pl.app.session import Session
from ifgan_pl.app.worker import Worker
from ifgan_pl.core.errors import UserError

log = logging.getLogger(__name__)
IDLE = 3600.0
"""Seconds without a word after which a session ends."""
LEAVING = 60.0
"""Seconds in which a page that was closed may come back: it may only have been loaded again."""
MOST_SESSIONS = 64
PREFIX, LOCK = "ifgan-app-", "lock"
"""Of the folder of a server's visitors among the temporary files, and the file in it that is locked while it lives."""


class House:
    """Visitors' sessions, and what they share.

    Args:
        models: of all sessions.
        scorer: name of the scorer, loaded while the page is up already; ``None``: scores are only predicted.
        scores: file of scores of the generator's samples, for filters; ``None``: none.
        boundary: as given on the command line; ``None``: the shipped one.
        taught: folder of what visitors teach and save.
    """

    def __init__(
        self,
        models: Models,
        *,
        scorer: str | None = None,
        scores: str | None = None,
        boundary: str | None = None,
        taught: Path = Path("runs/app"),
    ) -> None:
        self.models, self.boundary, self.taught = models, boundary, taught
        self.worker = Worker()
        self.catalogue = Catalogue(models, None)
        remove_leftovers()
        self.folder, self._lock = make_folder()
        self.sessions: dict[str, Session] = {}
        self.ready = threading.Event()
        self._inverter: Any = None
        self._school: Any = None
        self._over = threading.Event()
        threading.Thread(target=self._load, args=(scorer, scores), daemon=True, name="scorer").start()
        threading.Thread(target=self._tidy, daemon=True, name="tidy").start()

    def _load(self, scorer: str | None, scores: str | None) -> None:
        """What the page can do without at first."""
        try:
            if scorer is not None:
                from ifgan_pl.scorer.loading import find_scorer

                found = find_scorer(scorer)
                self.models.scorer = found.to(self.models.device) if hasattr(found, "to") else found
            self.catalogue = Catalogue(self.models, scores)
            for name in ("downloads", "teach"):
                importlib.import_module(f"ifgan_pl.app.{name}")
        except UserError as error:
            log.warning("%s", error)
        finally:
            self.ready.set()

    @property
    def school(self) -> Any:
        """The :class:`ifgan_pl.app.teach.School`, loaded when first asked for."""
        if self._school is None:
            from ifgan_pl.app.teach import School

            self._school = School(self.taught)
        return self._school

    def inverter(self) -> Any:
        """What inverts photographs, loaded when first asked for, in the worker's thread."""
        if self._inverter is None:
            from ifgan_pl.photos import Inverter

            self._inverter = Inverter.load(self.models.generator)
        return self._inverter

    def open(self) -> Session:
        """A new visitor; the one that was silent longest leaves where there are too many."""
        self.sweep()
        if len(self.sessions) >= MOST_SESSIONS:
            self.close(min(self.sessions.values(), key=lambda session: session.seen).name)
        name = secrets.token_urlsafe(24)
        session = Session(self.models, self.worker, name=name, folder=self.folder / name, boundary_name=self.boundary)
        self.sessions[name] = session
        return session

    def find(self, name: str) -> Session | None:
        """The session of a visitor who comes back."""
        session = self.sessions.get(name)
        if session is not None:
            session.seen = time.monotonic()
        return session

    def close(self, name: str) -> None:
        """A visitor leaves: nothing of theirs is kept."""
        session = self.sessions.pop(name, None)
        if session is not None:
            session.close()

    def leave(self, name: str) -> None:
        """A page was closed: nothing more is computed for it, and soon its session ends."""
        session = self.sessions.get(name)
        if session is not None:
            self.worker.drop(name)
            session.seen = time.monotonic() - IDLE + LEAVING

    def _tidy(self) -> None:
        while not self._over.wait(LEAVING / 2):
            self.sweep()

    def sweep(self) -> None:
        """Close the sessions of those who left without a word."""
        silent = [name for name, session in list(self.sessions.items()) if time.monotonic() - session.seen > IDLE]
        for name in silent:
            self.close(name)

    def shut(self) -> None:
        """Everybody leaves."""
        self._over.set()
        for name in list(self.sessions):
            self.close(name)
        self.worker.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def make_folder() -> tuple[Path, IO[str]]:
    """A folder for visitors' files, and its lock, which ends with the process whatever becomes of that."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    handle = open(folder / f"{LOCK}.new", "w")  # noqa: SIM115 (open as long as the folder is used)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.replace(handle.name, folder / LOCK)
    return folder, handle


def remove_leftovers() -> None:
    """Remove the folders of this user's servers that were killed: no visitor's file outlives its session."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
                continue
            with open(folder / LOCK) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
        except OSError:  # it lives, or another server is quicker
            continue
