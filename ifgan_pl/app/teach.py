"""An attribute that a visitor teaches: yes or no about suggested faces, what was learnt of it, and its boundary."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from ifgan_pl.app.explore import thumbnail
from ifgan_pl.app.models import Edit, Face, Models
from ifgan_pl.app.worker import Job
from ifgan_pl.attributes.faces import SHIPPED, Faces, features_of_codes, features_of_samples
from ifgan_pl.attributes.head import Head
from ifgan_pl.attributes.labels import asked, read_answers, write_answers
from ifgan_pl.attributes.learn import attributes_from_labels
from ifgan_pl.attributes.suggest import suggest
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, load_tensors, save_tensors
from ifgan_pl.core.resources import PLACES, cache_dir
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.scorer.loading import scorer_inputs

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
BATCH = 24
"""Faces that are asked about at once."""
KNOWN = 2048
"""Samples among which faces are suggested, and whose scores the boundary is fitted to."""
DRAWN, PIECE = 128, 4
"""How many codes are drawn at once, and how many faces looked at: between them others are served."""
EXAMPLES, STRENGTHS = (200_001, 200_007, 200_012), (-2.0, 0.0, 2.0)
"""Faces that nobody labels, on which the edit is shown, and how strong it is."""
BOUNDARY = "boundary.safetensors"


@dataclass(frozen=True)
class Finding:
    """What the answers so far have taught.

    Attributes:
        text: how well it is known, or why that cannot be said yet.
        figures: ``value``, ``low`` and ``high`` of the AUROC; empty where it cannot be said yet.
        images: of each example its JPEGs along :data:`STRENGTHS`; empty where there is no boundary yet.
    """

    text: str
    figures: dict[str, float]
    images: list[list[bytes]]


class Lesson:
    """An attribute and the answers about it, which are written down as they come.

    Args:
        models: whose boundary it is added to.
        name: of the attribute.
        folder: of ``NAME.csv`` and of the boundary.

    Raises:
        UserError: no name for an attribute, or one that the boundary has.
    """

    def __init__(self, models: Models, name: str, folder: Path) -> None:
        check_name(models, name, folder)
        self.models, self.name, self.folder = models, name, folder
        self.path = folder / f"{name}.csv"
        self.answers: dict[int, float] = {}
        self.asked: list[int] = asked(self.path)
        if self.path.is_file():
            self.answers = read_answers([self.path], [name])[name]
        self.head: Head | None = None
        self.learnt: LinearBoundary | None = None
        self._lock = Lock()

    def answer(self, number: int, value: float | None) -> None:
        """Write an answer down: 1, 0, or ``None`` for unclear. A later answer about a face takes the place of one."""
        with self._lock:
            if value is None:
                self.answers.pop(number, None)
            else:
                self.answers[number] = value
            self.asked = list(dict.fromkeys([*self.asked, number]))
            write_answers(self.path, self.asked, {self.name: self.answers})

    def suggest(self, faces: Faces) -> list[int]:
        """The faces to ask about next."""
        among = [number for number in range(len(faces)) if number not in set(self.asked)]
        return suggest(faces, BATCH, answers=self.known(faces), head=self.head, among=among)

    def known(self, faces: Faces) -> dict[int, float]:
        """The answers about these faces."""
        return {number: value for number, value in self.answers.items() if number < len(faces)}

    def learn(self, faces: Faces, job: Job) -> Finding:
        """Fit what the answers say; a long job's work of a few seconds."""
        job.step(0, 10)
        try:
            boundary, learned = attributes_from_labels(self.base(), faces, {self.name: self.known(faces)}, replace=True)
        except UserError as error:
            self.head = self.learnt = None
            return Finding(str(error), {}, [])
        self.head, self.learnt = learned[self.name].head, boundary
        quality = self.head.quality
        models, images = self.models.with_boundary(boundary, self.folder / BOUNDARY), []
        for i, number in enumerate(EXAMPLES):
            row = []
            for j, strength in enumerate(STRENGTHS):
                job.step(1 + 3 * i + j, 10)
                edit = Edit(Face(number), changes={self.name: strength}, truncation=models.truncation)
                row.append(thumbnail(models, edit))
            images.append(row)
        figures = {"value": quality.value, "low": quality.low, "high": quality.high}
        return Finding(str(learned[self.name]), figures, images)

    def base(self) -> LinearBoundary:
        """What the attribute is added to: the boundary that was saved before, or the one in use."""
        path = self.folder / BOUNDARY
        if path.is_file():
            saved = LinearBoundary.load(path)
            if set(self.models.attributes) <= set(saved.attributes):
                return saved
        return self.models.boundary

    def save(self) -> Path:
        """Write the boundary with the attribute.

        Raises:
            UserError: nothing was learnt yet.
        """
        if self.learnt is None:
            raise UserError(f"{self.name} is not known well enough yet: answer more")
        path = self.folder / BOUNDARY
        self.learnt.save(path)
        return path


class School:
    """All lessons of a server: visitors who teach the same attribute share one.

    Args:
        folder: of what is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lessons: dict[str, Lesson] = {}
        self._faces: Faces | None = None

    def begun(self) -> dict[str, int]:
        """Attribute -> how many answers there are, of those that were taught here before."""
        found = {}
        for path in sorted(self.folder.glob("*.csv")):
            if NAME.fullmatch(path.stem):
                try:
                    found[path.stem] = len(read_answers([path], [path.stem])[path.stem])
                except UserError:
                    continue
        return found

    def lesson(self, models: Models, name: str) -> Lesson:
        """The lesson of an attribute."""
        if name not in self._lessons:
            self._lessons[name] = Lesson(models, name, self.folder)
        return self._lessons[name]

    def faces(self, models: Models, job: Job) -> Faces:
        """What is known of the first samples; a long job's work, the first time of minutes where nothing is cached."""
        if models.scorer is None:
            raise UserError("teaching needs a scorer: wait until it is loaded, or start with --scorer")
        if self._faces is None:
            self._faces = self._known(models, job)
        return self._faces

    def _known(self, models: Models, job: Job) -> Faces:
        where: dict[str, Any] = {"seed": models.seed, "truncation": models.truncation, "space": models.boundary.space}
        generator, scorer = models.generator, models.scorer
        if models.name == "ffhq-mobile" and not models.seed and any((place / SHIPPED).is_file() for place in PLACES):
            return features_of_samples(generator, scorer, KNOWN, progress=lambda count: job.step(0, 0), **where)
        inputs = {"generator": generator.fingerprint, "scorer": scorer_inputs(scorer, "scorer")["scorer"], **where}
        path = cache_dir() / f"app-features-{json_digest([inputs, KNOWN])[:16]}.safetensors"
        drawn = []
        for start in range(0, KNOWN, DRAWN):
            job.step(start, KNOWN)
            drawn.append(sample_codes(generator, range(start, min(start + DRAWN, KNOWN)), **where))
        codes = torch.cat(drawn)
        if path.is_file():
            features = load_tensors(path)[0]["features"]
        else:
            look = partial(features_of_codes, generator, scorer, space=models.boundary.space)
            parts = []
            for start in range(0, KNOWN, PIECE):
                job.step(start, KNOWN)
                piece = codes[start : start + PIECE]
                parts.append(look(piece, truncation=models.truncation, resolution=models.preview_side).cpu())
            features = torch.cat(parts)
            save_tensors(path, {"features": features}, {"inputs": inputs})
        family = {"family": generator.family, "num_ws": generator.num_ws, "generator_name": generator.name}
        return Faces(features, codes.cpu().flatten(1), {**inputs, **family})


def check_name(models: Models, name: str, folder: Path) -> None:
    """Refuse what is no name of a new attribute.

    Raises:
        UserError: so.
    """
    if not NAME.fullmatch(name):
        raise UserError("call it by a word of small letters, digits and _, such as beard or curly_hair")
    saved = (folder / f"{name}.csv").is_file()
    if canonical(name) in map(canonical, models.attributes) and not saved:
        raise UserError(f"there is {name} already: choose another name")
