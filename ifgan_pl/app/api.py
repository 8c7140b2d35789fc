"""What the page can ask: names of requests, each a function of the house, the visitor's session and JSON values."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ifgan_pl.app.explore import PAGE
from ifgan_pl.app.house import House
from ifgan_pl.app.models import Shown
from ifgan_pl.app.session import Session
from ifgan_pl.app.worker import Job
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Pending:
    """An answer that is still computed: the job, and how its result becomes JSON-able."""

    job: Job
    convert: Callable[[Any], dict[str, Any]]


Answer = dict[str, Any] | Pending
Request = Callable[[House, Session, Body], Answer]


def start(house: House, session: Session, body: Body) -> Answer:
    """What the page needs first."""
    return {"session": session.name, "models": session.models.describe(), **_state(session), **_ready(house)}


def ready(house: House, session: Session, body: Body) -> Answer:
    """Whether scores and filters are there."""
    return _ready(house)


def face(house: House, session: Session, body: Body) -> Answer:
    """Another face, by its number or by chance."""
    number = body.get("number")
    session.choose(None if number is None else _whole(number, "number"))
    return _state(session)


def edit(house: House, session: Session, body: Body) -> Answer:
    """Set the edit and show it; ``keep`` once a slider is let go, then in full."""
    keep = bool(body.get("keep"))
    session.change(
        {name: _number(value, name) for name, value in _mapping(body.get("changes", {})).items()},
        hold=[str(name) for name in body.get("hold", [])],
        unit=str(body.get("unit", "std")),
        metric=str(body.get("metric", "stored")),
        layers=str(body.get("layers", "")),
        truncation=None if body.get("truncation") is None else _number(body["truncation"], "truncation"),
        keep=keep,
    )
    return Pending(session.full() if body.get("full") else session.preview(), shown)


def show(house: House, session: Session, body: Body) -> Answer:
    """The edit as it is, in full."""
    return Pending(session.full(), shown)


def original(house: House, session: Session, body: Body) -> Answer:
    """The face without its edit, in full."""
    return Pending(session.original(), shown)


def undo(house: House, session: Session, body: Body) -> Answer:
    """One step back."""
    session.undo()
    return _state(session)


def reset(house: House, session: Session, body: Body) -> Answer:
    """The face as it was found."""
    session.reset()
    return _state(session)


def commands(house: House, session: Session, body: Body) -> Answer:
    """The commands that make the files of :func:`download`."""
    return {"commands": session.commands(_name(body.get("attribute")))}


def download(house: House, session: Session, body: Body) -> Answer:
    """A file of the edit."""
    job = session.download(str(body.get("kind", "image")), _name(body.get("attribute")))
    return Pending(job, lambda made: {"name": made.name, "data": base64.b64encode(made.data).decode()})


def search(house: House, session: Session, body: Body) -> Answer:
    """Numbers of faces that have what is wanted."""
    count, numbers = house.catalogue.search(_mapping(body.get("wanted", {})), _whole(body.get("page", 0), "page"))
    return {"count": count, "of": house.catalogue.size, "numbers": numbers}


def thumbnails(house: House, session: Session, body: Body) -> Answer:
    """Small images of faces."""
    numbers = [_whole(number, "number") for number in body.get("numbers", [])][:PAGE]
    catalogue = house.catalogue
    job = session.compute("thumbnails", lambda job: catalogue.thumbnails(numbers, job))
    return Pending(job, lambda images: {"images": {str(k): data_url(v) for k, v in images.items()}})


def neighbours(house: House, session: Session, body: Body) -> Answer:
    """Faces like one: by its number, or like the one that is edited."""
    number = body.get("number")
    catalogue, wanted = house.catalogue, session.edit
    if number is not None:
        number = _whole(number, "number")
        wanted = catalogue.sample(number)
    code = session.models.code(wanted)
    job = session.compute("neighbours", lambda job: catalogue.neighbours(code, job, but=number))
    return Pending(job, lambda numbers: {"numbers": numbers})


def strip(house: House, session: Session, body: Body) -> Answer:
    """An attribute of a face from one end of its slider to the other."""
    number, attribute = _whole(body.get("number"), "number"), str(body.get("attribute"))
    catalogue, hold = house.catalogue, session.edit.hold
    job = session.compute("strip", lambda job: catalogue.strip(number, attribute, hold, job))
    return Pending(job, lambda images: {"images": [data_url(image) for image in images]})


def upload(house: House, session: Session, name: str, data: bytes) -> Answer:
    """A photograph: the faces in it, to choose from, or why none is found. The one request whose body is no JSON."""
    job = session.upload(name, data)
    assert session.photograph is not None
    told = {"name": session.photograph.name}
    return Pending(job, lambda found: {**told, "faces": [data_url(image) for image in found.images], "why": found.why})


def picture(house: House, session: Session, body: Body) -> Answer:
    """The whole photograph, to point at a face in it."""
    return Pending(
        session.picture(), lambda made: {"image": data_url(made.jpeg), "width": made.width, "height": made.height}
    )


def invert(house: House, session: Session, body: Body) -> Answer:
    """A face of the photograph, by its number or by its eyes and its mouth, inverted: it is edited from now on."""
    which = _points(body["points"]) if "points" in body else _whole(body.get("face", 0), "face")
    job = session.invert(which, house.inverter)

    def taken(face: Any) -> dict[str, Any]:
        session.take(face)
        return _state(session)

    return Pending(job, taken)


def lessons(house: House, session: Session, body: Body) -> Answer:
    """What was taught before."""
    return {"begun": house.school.begun()}


def lesson(house: House, session: Session, body: Body) -> Answer:
    """The faces to ask about next, for an attribute."""
    models, taught = session.models, _lesson(house, session, body)
    job = session.compute("lesson", lambda job: taught.suggest(house.school.faces(models, job)))
    return Pending(job, lambda numbers: {"numbers": numbers, "answers": len(taught.answers)})


def answer(house: House, session: Session, body: Body) -> Answer:
    """An answer about a face: 1, 0 or, where it is unclear, null."""
    value = body.get("value")
    if value not in (0, 1, None) or isinstance(value, bool):
        raise UserError(f"an answer is 1, 0 or null, got {value!r}")
    taught = _lesson(house, session, body)
    taught.answer(_whole(body.get("number"), "number"), None if value is None else float(value))
    return {"answers": len(taught.answers)}


def learn(house: House, session: Session, body: Body) -> Answer:
    """What the answers have taught so far."""
    models, taught = session.models, _lesson(house, session, body)
    job = session.compute("lesson", lambda job: taught.learn(house.school.faces(models, job), job))

    def convert(found: Any) -> dict[str, Any]:
        images = [[data_url(image) for image in row] for row in found.images]
        return {"text": found.text, "figures": found.figures, "images": images}

    return Pending(job, convert)


def save(house: House, session: Session, body: Body) -> Answer:
    """Add what was learnt to the boundary, and edit along it from now on."""
    taught = _lesson(house, session, body)
    path = taught.save()
    session.use(LinearBoundary.load(path), path)
    told = {"boundary": str(path), "labels": str(taught.path)}
    return {**told, "models": session.models.describe(), **_state(session)}


def _lesson(house: House, session: Session, body: Body) -> Any:
    return house.school.lesson(session.models, str(body.get("name", "")))


REQUESTS: dict[str, Request] = {
    function.__name__: function
    for function in (
        *(start, ready, face, edit, show, original, undo, reset, commands, download),
        *(search, thumbnails, neighbours, strip, picture, invert),
        *(lessons, lesson, answer, learn, save),
    )
}
"""Name of a request -> what answers it."""


# -- values


def shown(image: Shown) -> dict[str, Any]:
    """A :class:`Shown` as JSON-able values."""
    return {
        "image": data_url(image.jpeg),
        "size": image.size,
        "scores": dict(image.scores),
        "values": dict(image.values),
        "predicted": dict(image.predicted),
    }


def data_url(jpeg: bytes) -> str:
    """A JPEG as the address of an image."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _state(session: Session) -> dict[str, Any]:
    return {"state": session.state()}


def _ready(house: House) -> dict[str, Any]:
    return {"ready": house.ready.is_set(), "filters": house.catalogue.filters()}


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"names with values expected, got {value!r}")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{what}: a number expected, got {value!r}")
    return float(value)


def _whole(value: Any, what: str) -> int:
    number = _number(value, what)
    if number != int(number) or number < 0:
        raise UserError(f"{what}: a whole number from 0 on expected, got {value!r}")
    return int(number)


def _points(value: Any) -> list[list[float]]:
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(p, list) and len(p) == 2 for p in value):
        raise UserError("point at three places: the two eyes and the mouth")
    return [[_number(x, "a point") for x in point] for point in value]


def _name(value: Any) -> str | None:
    return None if value is None else str(value)
