"""A real Chromium, and a server of the page in a thread."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ifgan_pl.app.house import House
from ifgan_pl.app.start import LOCAL_NAMES, listen

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"]
OPTIONS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def chromium() -> str:
    """Where the browser is; skips a test that needs one where there is none."""
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return found


@contextmanager
def opened(**options: Any) -> Iterator[Any]:
    """A browser context of Playwright; options: of ``new_context``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        try:
            yield browser.new_context(**options)
        finally:
            browser.close()


class Log:
    """What a page asked for and complained of."""

    def __init__(self, page: Any) -> None:
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2] if "//" in request.url else ""))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))


@contextmanager
def served(house: House) -> Iterator[str]:
    """The address of a server of the house."""
    import uvicorn

    from ifgan_pl.app.server import make_server

    listener = listen("127.0.0.1", 0)
    app = make_server(house, names=LOCAL_NAMES)
    config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
