"""Faces to pick from: by what the scorer saw in 100,000 of them, and by likeness of their codes."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.app.models import REACH, Edit, Face, Models, jpeg
from ifgan_pl.app.worker import Job
from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.sampling import sample_z
from ifgan_pl.images.write import to_uint8
from ifgan_pl.scores.score_file import open_scores

PAGE = 24
"""Faces of a grid."""
UNFILTERED = 100_000
"""Numbers that are shown where no scores are known."""
NEIGHBOURHOOD, CHUNK = 20_000, 1000
"""Samples among which neighbours are searched, and how many codes are made at once."""
KEPT = 1000
"""Small images that are kept, of about 5 kB."""
STRIP_STEPS = 7


class Catalogue:
    """Samples of one generator, shown small.

    Args:
        models: what is shared.
        scores: a file or store of scores of its samples; ``None``: faces cannot be filtered.

    Raises:
        UserError: scores of another generator.
    """

    def __init__(self, models: Models, scores: str | Path | None) -> None:
        self.models = models
        self.units: dict[str, np.ndarray[Any, Any]] = {}
        self.kinds: dict[str, str] = {}
        self.truncation = models.truncation
        self._thumbnails: OrderedDict[int, bytes] = OrderedDict()
        self._codes: Tensor | None = None
        self._lock = Lock()
        if scores is not None and hasattr(models.scorer, "to_units"):
            self._read(scores)

    def _read(self, path: str | Path) -> None:
        """The scores as probabilities and years."""
        file = open_scores(path)
        scores = file.scores if hasattr(file, "scores") else file.load()[1]
        names = list(file.inputs["attributes"])
        wanted = {"generator": self.models.generator.fingerprint, "seed": self.models.seed}
        if any(file.inputs.get(key) != value for key, value in wanted.items()):
            raise UserError(f"{path} holds scores of another generator or another --seed: leave --scores out")
        scorer = self.models.scorer
        if names != list(scorer.attributes):
            raise UserError(f"{path} holds {', '.join(names)}, the scorer knows {', '.join(scorer.attributes)}")
        units = scorer.to_units(scores.to(scorer.mean.device)).cpu().numpy()
        self.units = {name: units[:, i] for i, name in enumerate(names)}
        self.kinds = dict(zip(names, scorer.kinds, strict=True))
        self.truncation = float(file.inputs["truncation"])

    @property
    def size(self) -> int:
        """How many samples there are to pick from."""
        return len(next(iter(self.units.values()))) if self.units else UNFILTERED

    def filters(self) -> list[dict[str, Any]]:
        """What can be asked of a face: a yes or no, or a range with its ends."""
        found = []
        for name, values in self.units.items():
            low, high = np.quantile(values, [0.0005, 0.9995])
            binary = self.kinds[name] == "binary"
            ends = {} if binary else {"low": float(np.floor(low)), "high": float(np.ceil(high))}
            found.append({"name": name, "kind": self.kinds[name], **ends})
        return found

    def search(self, wanted: Mapping[str, Any], page: int = 0) -> tuple[int, list[int]]:
        """Samples with what is wanted.

        Args:
            wanted: name -> ``true`` or ``false`` (more likely than not), or (lowest, highest) in years or steps.
            page: 0, 1, …: always other faces, in an order that has nothing to do with their numbers.

        Returns:
            how many there are, and the numbers of :data:`PAGE` of them at most.

        Raises:
            UserError: a name that is not scored, or no such range.
        """
        there = np.ones(self.size, bool)
        for name, value in wanted.items():
            values = self.units.get(canonical(name))
            if values is None:
                raise UserError(f"faces are not scored for {name!r}; known: {', '.join(self.units) or 'nothing'}")
            if isinstance(value, bool):
                there &= (values > 0.5) == value
            else:
                low, high = _range(name, value)
                there &= (values >= low) & (values <= high)
        found = np.flatnonzero(there)
        order = np.random.Generator(np.random.Philox(key=17)).permutation(len(found))
        pages = max(1, -(-len(found) // PAGE))
        start = page % pages * PAGE
        return len(found), found[order[start : start + PAGE]].tolist()

    def sample(self, number: int) -> Edit:
        """A face as the catalogue shows it."""
        return Edit(Face(number), truncation=self.truncation)

    # -- small images

    def thumbnails(self, numbers: Sequence[int], job: Job) -> dict[int, bytes]:
        """JPEGs of samples; a long job's work."""
        images = {}
        for done, number in enumerate(numbers):
            with self._lock:
                image = self._thumbnails.get(number)
            if image is None:
                job.step(done, len(numbers))
                image = thumbnail(self.models, self.sample(number))
                with self._lock:
                    self._thumbnails[number] = image
                    if len(self._thumbnails) > KEPT:
                        self._thumbnails.popitem(last=False)
            images[number] = image
        return images

    def strip(self, number: int, attribute: str, hold: Sequence[str], job: Job) -> list[bytes]:
        """JPEGs of a sample from the lower to the upper end of an attribute's slider; a long job's work."""
        name = self.models.attributes[self.models.boundary.index(attribute)]
        edit = replace(self.sample(number), hold=tuple(hold))
        images = []
        for done, strength in enumerate(np.linspace(-REACH, REACH, STRIP_STEPS)):
            job.step(done, STRIP_STEPS)
            images.append(thumbnail(self.models, replace(edit, changes={name: float(strength)})))
        return images

    # -- neighbours

    @torch.no_grad()
    def neighbours(self, code: Tensor, job: Job, *, but: int | None = None) -> list[int]:
        """Numbers of the samples whose codes are nearest, nearest first; a long job's work.

        Args:
            code: (1, d) or (1, num_ws, w_dim).
            job: that is computed.
            but: a number to leave out, the face's own.
        """
        codes = self._all_codes(job)
        wanted = (code.mean(dim=1) if code.ndim == 3 else code).to(codes)
        distances = torch.cat([(part.float() - wanted.float()).norm(dim=1) for part in torch.split(codes, CHUNK)])
        if but is not None and but < len(distances):
            distances[but] = torch.inf
        return distances.topk(PAGE, largest=False).indices.tolist()

    def _all_codes(self, job: Job) -> Tensor:
        """Codes of the first samples, (N, d) float16; made once."""
        if self._codes is None:
            generator, parts = self.models.generator, []
            for start in range(0, NEIGHBOURHOOD, CHUNK):
                job.step(start, NEIGHBOURHOOD)
                z = sample_z(range(start, start + CHUNK), generator.z_dim, seed=self.models.seed)
                if generator.w_mean is not None and self.models.boundary.space != "z":
                    z = generator.truncate(generator.mapping(z.to(generator.w_mean)), self.truncation)
                parts.append(z.half())
            self._codes = torch.cat(parts)
        return self._codes


def _range(name: str, value: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        raise UserError(f"{name}: true, false or two numbers expected, got {value!r}") from None
    return low, high


def thumbnail(models: Models, edit: Edit) -> bytes:
    """A small JPEG of an edit."""
    with torch.no_grad():
        return jpeg(to_uint8(models.images(models.edited(edit), edit.truncation))[0])
