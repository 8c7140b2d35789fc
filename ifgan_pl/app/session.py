"""A visitor's session: a face, what is done to it, and the way back. No web framework, no page."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ifgan_pl.app.models import Edit, Face, Models, indices_text
from ifgan_pl.app.worker import Job, Worker
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.sampling import parse_indices
from ifgan_pl.generators.truncation import check_truncation

if TYPE_CHECKING:  # the libraries that read photographs are loaded when the first one comes
    from ifgan_pl.app.photo import Points, Received

STEPS_BACK = 100
"""Edits that undo goes back through."""
LARGEST_NUMBER = 10**9
STRONGEST = 100.0
"""What is let through as a strength, in either unit."""


class Session:
    """A visitor's face and edits. Methods that compute return a :class:`~ifgan_pl.app.worker.Job`.

    Args:
        models: what is shared.
        worker: computes.
        name: of the visitor.
        folder: for the visitor's files; made when first needed, removed by :meth:`close`.
        boundary_name: of the boundary for ``edit.py``, as given on the command line; ``None``: the shipped one.

    Attributes:
        edit: the face and what is done to it, a value: jobs keep the one that they were asked with.
        seen: when the visitor last asked for something, by ``time.monotonic()``.
    """

    def __init__(
        self, models: Models, worker: Worker, *, name: str, folder: Path, boundary_name: str | None = None
    ) -> None:
        self.models, self.worker, self.name, self.folder = models, worker, name, folder
        self.boundary_name = boundary_name
        self.edit = Edit(Face(0), truncation=models.truncation)
        self.history: list[Edit] = []
        self._kept = self.edit
        self.photograph: Received | None = None
        self._sent = 0
        self.seen = time.monotonic()
        self._random = np.random.Generator(np.random.Philox())

    # -- what is edited

    def choose(self, number: int | None = None) -> None:
        """Take a sample by its number, or a random one; its edits start from nothing, holds stay.

        Raises:
            UserError: not a number of a sample.
        """
        if number is None:
            number = int(self._random.integers(100_000))
        if not 0 <= number < LARGEST_NUMBER:
            raise UserError(f"faces have numbers from 0 to {LARGEST_NUMBER - 1}; got {number}")
        self.take(Face(number))

    def take(self, face: Face) -> None:
        """Edit this face from now on."""
        self._keep(replace(self.edit, face=face, changes={}))

    def change(
        self,
        changes: Mapping[str, float],
        *,
        hold: Sequence[str] = (),
        unit: str = "std",
        metric: str = "stored",
        layers: str = "",
        truncation: float | None = None,
        keep: bool = True,
    ) -> None:
        """Set what is done to the face.

        Args:
            changes: attribute -> strength.
            hold: attributes that must not move; those that are changed themselves are not held.
            unit, metric: see :meth:`ifgan_pl.editing.editor.Editor.shifted`.
            layers: rows of W+ to shift, e.g. ``0-7``; empty: all.
            truncation: psi, of a sample; ``None``: as it is.
            keep: whether :meth:`undo` comes back to what was before; not while a slider moves.

        Raises:
            UserError: a request that nothing can satisfy; nothing is changed then.
        """
        names = [self._attribute(name) for name in changes]
        values = [float(value) for value in changes.values()]
        if not all(abs(value) <= STRONGEST for value in values):
            raise UserError(f"strengths lie between -{STRONGEST:g} and {STRONGEST:g}, got {dict(changes)}")
        if truncation is None:
            truncation = self.edit.truncation
        check_truncation(self.models.generator, truncation)
        edit = replace(
            self.edit,
            changes=dict(zip(names, values, strict=True)),
            hold=tuple(self._attribute(name) for name in hold),
            unit=unit,
            metric=metric,
            layers=tuple(parse_indices(layers)) if layers.strip() else None,
            truncation=truncation,
        )
        self.models.check(edit)
        if keep:
            self._keep(edit)
        self.edit = edit

    def reset(self) -> None:
        """The face as it was found; holds stay."""
        self._keep(replace(self.edit, changes={}))

    def undo(self) -> bool:
        """Go back one step; whether there was one."""
        if not self.history:
            return False
        self.edit = self._kept = self.history.pop()
        return True

    def use(self, boundary: LinearBoundary, path: Path) -> None:
        """Edit along another boundary that has the attributes of this one, from a file, from now on."""
        self.models = self.models.with_boundary(boundary, path)
        self.boundary_name = str(path)

    def _keep(self, edit: Edit) -> None:
        """Go on to an edit from which undo comes back to the one that was kept before."""
        if vars(edit) != vars(self._kept):
            self.history = [*self.history[1 - STEPS_BACK :], self._kept]
        self.edit = self._kept = edit

    def _attribute(self, name: str) -> str:
        return self.models.attributes[self.models.boundary.index(canonical(name))]

    # -- what is computed

    def preview(self) -> Job:
        """A small image of the edit, as :class:`~ifgan_pl.app.models.Shown`."""
        return self._show(self.edit, full=False)

    def full(self) -> Job:
        """The image of the edit, as :class:`~ifgan_pl.app.models.Shown`."""
        return self._show(self.edit, full=True)

    def original(self) -> Job:
        """The image of the face without its edit, as :class:`~ifgan_pl.app.models.Shown`."""
        edit = replace(self.edit, changes={})
        return self.worker.submit(self.name, "original", lambda: self.models.show(edit, full=True))

    def _show(self, edit: Edit, *, full: bool) -> Job:
        models = self.models
        return self.worker.submit(self.name, "image", lambda: models.show(edit, full=full))

    def download(self, kind: str, attribute: str | None = None) -> Job:
        """A file of the edit, as :class:`~ifgan_pl.app.downloads.Download`; see ``make_download`` there."""
        edit, models, folder = self.edit, self.models, self.folder
        chosen = self._attribute(attribute) if attribute else None

        def make(job: Job) -> Any:
            from ifgan_pl.app.downloads import make_download  # with the libraries that draw sheets

            return make_download(models, edit, kind, chosen, folder, job.step)

        return self.compute("download", make)

    def upload(self, name: str, data: bytes) -> Job:
        """Find the faces in a photograph; see :func:`ifgan_pl.app.photo.find`.

        Raises:
            UserError: it is no photograph.
        """
        from ifgan_pl.app import photo

        self.photograph = None
        self._forget_photographs()
        self._sent += 1
        received = photo.receive(self.folder / f"photo-{self._sent}", name, data)
        self.photograph = received
        return self.compute("photo", lambda job: photo.find(received, job))

    def _forget_photographs(self) -> None:
        """Remove the files of photographs that neither the edit nor the way back to earlier ones needs."""
        faces = [edit.face.photo for edit in (self.edit, self._kept, *self.history)]
        needed = {face.received.photo.path.parent for face in faces if face is not None}
        for folder in set(self.folder.glob("photo-*")) - needed:
            shutil.rmtree(folder, ignore_errors=True)

    def picture(self) -> Job:
        """The photograph that was sent last, to point at a face in it; see :func:`ifgan_pl.app.photo.picture`.

        Raises:
            UserError: none was sent.
        """
        from ifgan_pl.app import photo

        received = self._received()
        return self.compute("photo", lambda job: photo.picture(received, job))

    def invert(self, which: "int | Points", inverter: Callable[[], Any]) -> Job:
        """A face of the photograph that was sent last, to edit: see :func:`ifgan_pl.app.photo.invert`.

        Raises:
            UserError: none was sent.
        """
        from ifgan_pl.app import photo

        received = self._received()
        return self.compute("photo", lambda job: photo.invert(inverter, received, which, job))

    def _received(self) -> "Received":
        if self.photograph is None:
            raise UserError("there is no photograph: send one first")
        return self.photograph

    def compute(self, slot: str, function: Callable[[Job], Any]) -> Job:
        """Long work of this visitor; see :meth:`Worker.submit`."""
        return self.worker.submit(self.name, slot, function, long=True)

    # -- what the page is told

    def state(self) -> dict[str, Any]:
        """The edit as JSON-able values."""
        edit = self.edit
        return {
            "number": edit.face.number,
            "photo": edit.face.photo.name if edit.face.photo else None,
            "likeness": edit.face.photo.likeness() if edit.face.photo else "",
            "changes": dict(edit.changes),
            "hold": list(edit.hold),
            "unit": edit.unit,
            "metric": edit.metric,
            "layers": indices_text(edit.layers or ()),
            "truncation": edit.truncation,
            "can_undo": bool(self.history),
            "attributes": list(self.models.attributes),
        }

    def commands(self, attribute: str | None = None) -> dict[str, str]:
        """Kind of download -> the ``edit.py`` command that makes the same file."""
        from ifgan_pl.app.downloads import command

        chosen = self._attribute(attribute) if attribute else None
        found = {}
        for kind in ("image", "strip", "animation", *(["photo"] if self.edit.face.photo else [])):
            text = command(self.models, self.edit, kind, chosen, self.boundary_name)
            if text:
                found[kind] = text
        return found

    def close(self) -> None:
        """Drop what is still being computed, and remove the visitor's files."""
        self.worker.drop(self.name)
        shutil.rmtree(self.folder, ignore_errors=True)
