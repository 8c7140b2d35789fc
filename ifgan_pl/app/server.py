"""The web server: the page's files, and the requests of :mod:`ifgan_pl.app.api` over HTTP.

It is safe by what it refuses: other hosts' names (a page elsewhere whose name was pointed at this machine), requests
that other pages could make (a header of our own is needed), large bodies, and everybody without the password, if there
is one.
"""

import asyncio
import base64
import hmac
import json
import logging
from collections.abc import AsyncIterator, Iterable
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ifgan_pl.app import api
from ifgan_pl.app.house import House
from ifgan_pl.app.worker import Dropped
from ifgan_pl.core.errors import UserError

log = logging.getLogger(__name__)
SESSION = "x-session"
"""The header with the visitor's secret name; no other site's page can send it."""
LARGEST_REQUEST, LARGEST_UPLOAD = 256 * 1024, 32 * 1024 * 1024
"""Bytes."""
LARGEST_HEARD = 512 * 1024 * 1024
"""Bytes after which a body is not even read to its end."""
SCRIPTS = ("app.js", "server.js", "edit.js", "explore.js", "photo.js", "point.js", "teach.js")
PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    **{name: (name, "text/javascript; charset=utf-8") for name in SCRIPTS},
}
"""Address -> file of the page, and its type. Nothing else is served."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
TICK = 0.2
"""Seconds between two words about a long job."""


def make_server(house: House, *, names: Iterable[str] | None, password: str | None = None) -> ASGIApp:
    """The web application.

    Args:
        house: what answers.
        names: by which this machine may be called in a request; ``None``: by any, for a server with a password.
        password: asked of everybody (HTTP basic authentication, any user name).
    """
    routes = [Route(f"/{path}", _page(*page)) for path, page in PAGE.items()]

    async def call(request: Request) -> Response:
        try:
            return await _call(house, request)
        except UserError as error:
            return JSONResponse({"error": str(error)})  # not 400, which a browser's console calls an error of the page
        except Dropped:
            return JSONResponse({"dropped": True})
        except ClientDisconnect:
            return Response(status_code=499)

    routes.append(Route("/api/{name}", call, methods=["POST"]))
    return Guard(Starlette(routes=routes), names, password)


def refusal(status: int, message: str) -> JSONResponse:
    """An error, in a sentence for the visitor."""
    return JSONResponse({"error": message}, status)


def _page(name: str, kind: str) -> Any:
    data = (files("ifgan_pl.app") / "page" / name).read_bytes()
    return lambda request: Response(data, media_type=kind)


async def _call(house: House, request: Request) -> Response:
    name = request.path_params["name"]
    if name == "leave":  # a page that is closed has no time for headers: its secret is the body
        house.leave((await _body(request, 200)).decode("ascii", "replace"))
        return Response(status_code=204)
    token = request.headers.get(SESSION, "")
    session = house.find(token)
    if name == "start" and session is None and token:
        session = house.open()
    if session is None:
        return JSONResponse({"error": "this session has ended: reload the page", "ended": True})
    if name not in (*api.REQUESTS, "upload"):
        return refusal(404, f"unknown request {name!r}")
    if name == "upload":
        data = await _body(request, LARGEST_UPLOAD)
        file = unquote(request.headers.get("x-name", ""))
        answer = await asyncio.to_thread(api.upload, house, session, file, data)  # decoding takes a while
        return StreamingResponse(_progress(answer), media_type="application/x-ndjson")
    answer = api.REQUESTS[name](house, session, _json(await _body(request, LARGEST_REQUEST)))
    if isinstance(answer, dict):
        return JSONResponse(answer)
    if answer.job.long:
        return StreamingResponse(_progress(answer), media_type="application/x-ndjson")
    return JSONResponse(answer.convert(await asyncio.wrap_future(answer.job.future)))


async def _progress(answer: api.Answer) -> AsyncIterator[bytes]:
    """A line of JSON now and then, and one with the result; a visitor who leaves ends the job."""
    assert isinstance(answer, api.Pending)
    job = answer.job
    future = asyncio.wrap_future(job.future)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, even if nobody is there
    try:
        while not (await asyncio.wait({future}, timeout=TICK))[0]:
            yield _line({"done": job.done, "total": job.total, "ahead": job.worker.ahead(job)})
        yield _line({"result": answer.convert(future.result())})
    except UserError as error:
        yield _line({"error": str(error)})
    except Dropped:
        yield _line({"dropped": True})
    except Exception:
        log.exception("a request failed")
        yield _line({"error": "something went wrong here; the server's window says what"})
    finally:
        job.drop()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _json(data: bytes) -> dict[str, Any]:
    def refuse(text: str) -> float:
        raise ValueError(text)

    try:
        value = json.loads(data or b"{}", parse_constant=refuse)
    except (ValueError, RecursionError):
        raise UserError("a request is JSON") from None
    if not isinstance(value, dict):
        raise UserError("a request is names with values")
    return value


async def _body(request: Request, limit: int) -> bytes:
    """The body of a request. One that is too large is read to its end, but not kept: browsers hear no answer before.

    Raises:
        UserError: it is too large.
        ClientDisconnect: it does not end at all.
    """
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length <= limit:
            parts.append(part)
        elif length > LARGEST_HEARD:
            raise ClientDisconnect
        else:
            parts.clear()
    if length > limit:
        raise UserError(f"that is too large: {limit // 1024**2 or 1} MB is the most; make it smaller first")
    return b"".join(parts)


class Guard:
    """What every request passes: the host's name, the password, and the headers of every answer.

    Args:
        app: behind it.
        names, password: see :func:`make_server`.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] | None, password: str | None) -> None:
        self.app = app
        self.names = None if names is None else set(names)
        self.password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        request = Request(scope)
        await (self.refuse(request) or self.app)(scope, receive, answer)

    def refuse(self, request: Request) -> Response | None:
        """Why a request is not let in; ``None``: it is."""
        host = request.headers.get("host", "")
        if self.names is not None and _name(host) not in self.names:
            return refusal(421, "this server answers on this machine only")
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            return refusal(403, "this request comes from another page")
        if self.password is not None and not _knows(request.headers.get("authorization", ""), self.password):
            response = refusal(401, "a password is needed")
            response.headers["www-authenticate"] = 'Basic realm="ifgan_pl", charset="UTF-8"'
            return response
        return None


def _name(host: str) -> str:
    """The name of a host without its port: ``[::1]:7860`` -> ``::1``."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _knows(authorization: str, password: str) -> bool:
    kind, _, text = authorization.partition(" ")
    try:
        given = base64.b64decode(text, validate=True).decode().partition(":")[2]
    except ValueError:
        return False
    return kind.lower() == "basic" and hmac.compare_digest(given.encode(), password.encode())
