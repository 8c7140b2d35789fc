"""The command: models are loaded, a port is found, the page is served."""

import argparse
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ifgan_pl.core.errors import UserError

PORT, PORTS_TRIED = 7860, 50
PASSWORD = "IFGAN_APP_PASSWORD"
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
SCORER, SCORES = "scorer-faces", "ffhq-mobile-scores"
"""What is used with the generator that they ship for."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


def parser() -> Parser:
    """Of ``python -m ifgan_pl.app``."""
    made = Parser(
        prog="python -m ifgan_pl.app",
        description="A page to edit faces on, in the browser: sliders, photographs, attributes of your own.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--generator", default="ffhq-mobile", help="name of an embedded generator, or a file")
    made.add_argument("--boundary", help="boundary file; by default the shipped one of the generator")
    made.add_argument("--scorer", help="scores the images: a name, a checkpoint or module:attribute; or none")
    made.add_argument("--scores", help="scores of samples, to pick faces by: a file or a folder; or none")
    made.add_argument("--seed", type=int, default=0, help="stream of the samples, as in edit.py --seed")
    made.add_argument("--out", type=Path, default=Path("runs/app"), help="where what you teach is saved")
    made.add_argument("--port", type=int, default=PORT, help="if it is in use, the next one that is free")
    made.add_argument("--host", default="127.0.0.1", help="an address; one that others can reach needs a password")
    made.add_argument("--password", help=f"asked of everybody; better in the environment, as {PASSWORD}")
    made.add_argument("--device", help="cpu or cuda; by default a GPU where there is one")
    made.add_argument("--browser", action="store_true", help="open the page in the browser")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``python -m ifgan_pl.app`` and ``ifgan-app``."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # and not at once: visitors' files are removed
    try:
        serve(parser().parse_args(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.exit(2)


def serve(options: argparse.Namespace) -> None:
    """Load what is asked for and serve until the process is told to end.

    Raises:
        UserError: a request that nothing can satisfy.
    """
    password = options.password or os.environ.get(PASSWORD)
    if not is_local(options.host) and not password:
        raise UserError(
            f"--host {options.host} lets others in: give a password as well, with --password or as {PASSWORD}"
        )
    try:
        import uvicorn

        from ifgan_pl.app.server import make_server
    except ImportError as error:
        raise UserError(f"the page needs {error.name}: pip install 'ifgan_pl[app]'") from None
    listener = listen(options.host, options.port)
    port = listener.getsockname()[1]
    if options.port not in (0, port):
        print(f"port {options.port} is in use; taking {port}", flush=True)
    import torch

    from ifgan_pl.app.house import House
    from ifgan_pl.app.models import Models
    from ifgan_pl.core.cores import use_one_thread

    use_one_thread()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    models = Models.load(options.generator, options.boundary, device=device, seed=options.seed)
    faces = models.generator.family == "stylegan2-ffhq"
    house = House(
        models,
        scorer=chosen(options.scorer, SCORER if faces else None),
        scores=chosen(options.scores, SCORES if models.generator.name == "ffhq-mobile" and not options.seed else None),
        boundary=options.boundary,
        taught=options.out,
    )
    app = make_server(house, names=LOCAL_NAMES if is_local(options.host) else None, password=password)
    address = f"http://{'127.0.0.1' if is_local(options.host) else options.host}:{port}"
    print(f"The page: {address}   (Ctrl-C ends it)", flush=True)
    if options.browser:
        webbrowser.open(address)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=256,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        house.shut()


def chosen(given: str | None, default: str | None) -> str | None:
    """What an option says: nothing, the word none, or a name."""
    return default if given is None else None if given == "none" else given


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a port, or on the first free one behind it.

    Raises:
        UserError: no such address, or no port of those is free.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"--port {port}: ports go from 0 (any that is free) to 65535")
    for number in range(port, min(port + PORTS_TRIED, 2**16)) if port else [0]:
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        except OSError:
            raise UserError(f"--host {host}: no such address") from None
        listener = socket.socket(family, kind, protocol)  # asyncio sends at once (TCP_NODELAY) where it is TCP's
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(where)
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UserError(f"--host {host}: {error.strerror}") from None
    raise UserError(f"no free port from {port} on: give another with --port")
