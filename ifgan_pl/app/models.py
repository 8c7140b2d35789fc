"""What every visitor shares, loaded once: the generator, its boundary, the scorer; and edits as values."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.filters import by_image, in_units, predicted_changes
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.resources import find
from ifgan_pl.editing.editor import Editor
from ifgan_pl.functional import matrix_sqrt
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.sampling import device_of
from ifgan_pl.images.write import Pixels, to_uint8

PREVIEW = 128
"""Least side of the images that follow a slider, in pixels."""
SCREEN = 384
"""Side to which they are enlarged for the screen."""
REACH = 3.0
"""Sliders go this many standard deviations of a score to either side."""
KEPT = 64
"""How many codes and sets of directions are kept ready."""
SAYINGS = {
    "eyeglasses": ("Eyeglasses", "without", "with"),
    "smile": ("Smile", "serious", "smiling"),
    "male": ("Gender", "female", "male"),
    "age": ("Age", "younger", "older"),
    "yaw": ("Pose", "left", "right"),
}
"""Of an attribute: its name on the page, and what the ends of its slider are called."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face to edit.

    Attributes:
        number: of a sample, or of a face in a photograph.
        codes: (1, d) or (1, num_ws, w_dim) on the generator's device; ``None``: of the sample, by its truncation.
        photo: a :class:`ifgan_pl.app.photo.Portrait`; ``None``: a sample.
    """

    number: int
    codes: Tensor | None = None
    photo: Any = None


@dataclass(frozen=True, eq=False)
class Edit:
    """A face and what is done to it; the options are those of :meth:`ifgan_pl.editing.editor.Editor.shifted`.

    ``hold`` counts for attributes that are not changed themselves.
    """

    face: Face
    changes: Mapping[str, float] = field(default_factory=dict)
    hold: tuple[str, ...] = ()
    unit: str = "std"
    metric: str = "stored"
    layers: tuple[int, ...] | None = None
    truncation: float = 0.7

    @property
    def moved(self) -> dict[str, float]:
        """The changes that are not zero."""
        return {name: value for name, value in self.changes.items() if value}

    @property
    def held(self) -> tuple[str, ...]:
        """The attributes that are held."""
        return tuple(name for name in self.hold if not self.changes.get(name))


@dataclass(frozen=True)
class Shown:
    """An image and what is known of it.

    Attributes:
        jpeg: of the image.
        size: its side in pixels.
        scores: name -> standard deviations from the mean of the boundary's sample, as the scorer sees the image.
        values: name -> the same in words: ``82 %``, ``37 years``.
        predicted: name -> what the boundary says of the code; empty where that no longer holds.
    """

    jpeg: bytes
    size: int
    scores: Mapping[str, float]
    values: Mapping[str, str]
    predicted: Mapping[str, float]


class Models:
    """The generator, its boundary in every metric, and the scorer.

    Args:
        generator: any.
        boundary: of its family.
        boundary_path: the file of the boundary, for provenance.
        scorer: images -> (n, m), with ``attributes``; ``None``: scores are only predicted.
        seed: stream of the samples.
        name: of the generator on the command line.
    """

    def __init__(
        self,
        generator: Generator,
        boundary: LinearBoundary,
        boundary_path: Path,
        *,
        scorer: Any = None,
        seed: int = 0,
        name: str = "",
    ) -> None:
        self.name = name or generator.name
        self.generator, self.boundary, self.boundary_path = generator, boundary, boundary_path
        self.scorer, self.seed = scorer, seed
        self.preview_side = min([r for r in generator.resolutions if r >= PREVIEW] or [generator.img_resolution])
        self.editors = {"stored": Editor(generator, with_metric(boundary, boundary.metric))}
        for metric in ("covariance", "sqrt", "identity") if boundary.covariance is not None else ("identity",):
            plain = boundary.replaced(gradients=None, spread=None, response=None)
            self.editors[metric] = Editor(generator, with_metric(plain, metric))
        self._memory: OrderedDict[Any, Tensor] = OrderedDict()
        self._tuned: tuple[Any, Generator] | None = None
        self._lock = Lock()

    @classmethod
    def load(cls, generator: str, boundary: str | None, *, device: str = "cpu", seed: int = 0) -> "Models":
        """The models of the command line, without the scorer.

        Raises:
            UserError: a name that nothing has, or a boundary of another generator.
        """
        model = load_generator(generator, device=device)
        if boundary is None and model.family != "stylegan2-ffhq":
            raise UserError(f"no boundary ships for {model.name}: give one with --boundary")
        path = find(boundary or "ffhq-mobile-w", "checkpoints", (".safetensors",))
        return cls(model, LinearBoundary.load(path), path, seed=seed, name=generator)

    def with_boundary(self, boundary: LinearBoundary, path: Path) -> "Models":
        """The same generator and scorer, with another boundary."""
        return Models(self.generator, boundary, path, scorer=self.scorer, seed=self.seed, name=self.name)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names that can be edited and held."""
        return tuple(self.boundary.attributes)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return device_of(self.generator)

    @property
    def truncation(self) -> float:
        """psi of the first face."""
        return 0.7 if self.generator.w_mean is not None else 1.0

    # -- edits

    def code(self, edit: Edit) -> Tensor:
        """The face's own code, (1, d) or (1, num_ws, w_dim)."""
        if edit.face.codes is not None:
            return edit.face.codes.to(self.device)
        key = ("code", edit.face.number, edit.truncation)
        codes = self._kept(key)
        if codes is None:
            codes = self.editors["stored"].codes([edit.face.number], seed=self.seed, truncation=edit.truncation)
            self._keep(key, codes)
        return codes

    def edited(self, edit: Edit) -> Tensor:
        """The code of the edited face."""
        codes = self.code(edit)
        if not edit.moved:
            return codes
        basis = self._basis(edit)
        amounts = torch.tensor(list(edit.moved.values()), dtype=basis.dtype, device=codes.device)
        shift = amounts @ basis.flatten(1)
        if basis.ndim == 3:
            return (codes if codes.ndim == 3 else codes[:, None]) + shift.view(self.generator.num_ws, -1)
        return codes + shift

    def check(self, edit: Edit) -> None:
        """Refuse what cannot be done, before anything is computed.

        Raises:
            UserError: a unit, a metric or rows that are not there, or directions that depend on each other.
        """
        if edit.unit not in ("std", "latent"):
            raise UserError(f"unknown unit {edit.unit!r}; known: std, latent")
        if edit.metric not in self.editors:
            raise UserError(f"unknown metric {edit.metric!r}; this boundary knows {', '.join(self.editors)}")
        if edit.layers and max(edit.layers) >= (self.generator.num_ws if self.boundary.space != "z" else 0):
            raise UserError(f"this generator has the rows 0 to {self.generator.num_ws - 1}, for boundaries in W and W+")
        if edit.moved:
            self._basis(edit)

    def _basis(self, edit: Edit) -> Tensor:
        """What one unit of each changed attribute adds to a code, (k, d) or (k, num_ws, w_dim)."""
        key = (tuple(edit.moved), edit.held, edit.unit, edit.metric, edit.layers)
        basis = self._kept(key)
        if basis is not None:
            return basis
        editor = self.editors[edit.metric]
        units = torch.eye(len(edit.moved), device=editor.boundary.normals.device)
        changes = {name: units[:, i] for i, name in enumerate(edit.moved)}
        shape = editor.boundary.normals.shape[1:]
        if editor.boundary.space == "w+":
            shape = torch.Size([self.generator.num_ws, self.generator.w_dim])
        nothing = units.new_zeros(len(units), *shape)
        basis = editor.shifted(nothing, changes, hold=edit.held, unit=edit.unit, layers=edit.layers).detach()
        self._keep(key, basis)
        return basis

    def _kept(self, key: Any) -> Tensor | None:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
            return self._memory.get(key)

    def _keep(self, key: Any, value: Tensor) -> None:
        with self._lock:
            self._memory[key] = value
            if len(self._memory) > KEPT:
                self._memory.popitem(last=False)

    # -- images

    @torch.no_grad()
    def show(self, edit: Edit, *, full: bool = False) -> Shown:
        """The edited face, as a preview or in full."""
        codes = self.edited(edit)
        image = self.render(edit, full=full)
        scores, values = self.score(image)
        predicted = self.predicted(edit, codes)
        data = jpeg(to_uint8(image)[0], side=None if full else max(SCREEN, image.shape[-1]))
        return Shown(data, image.shape[-1], scores, values, predicted)

    @torch.no_grad()
    def render(self, edit: Edit, *, full: bool = False) -> Tensor:
        """(1, 3, H, W) in [-1, 1] of an edit; of a photograph, with what its inversion lacks."""
        codes, portrait = self.edited(edit), edit.face.photo
        if portrait is None:
            return self.images(codes, edit.truncation, full=full)
        image: Tensor = portrait.render(self.tuned(portrait), codes, None if full else self.preview_side)
        return image

    def tuned(self, portrait: Any) -> Generator:
        """The generator as it shows a photograph's face; that of the last one is kept."""
        if self._tuned is None or self._tuned[0] is not portrait:
            self._tuned = portrait, portrait.inversion.generator(self.generator)
        return self._tuned[1]

    @torch.no_grad()
    def images(self, codes: Tensor, truncation: float, *, full: bool = False) -> Tensor:
        """(N, 3, H, W) in [-1, 1] of codes."""
        side = None if full else self.preview_side
        return self.editors["stored"].images(codes, truncation=truncation, resolution=side)

    def score(self, image: Tensor) -> tuple[dict[str, float], dict[str, str]]:
        """Scores of an image (1, 3, H, W), and the same in words; see :class:`Shown`."""
        if self.scorer is None:
            return {}, {}
        row = map_micro_batches(self.scorer, image)[0]
        names = list(self.scorer.attributes)
        scores = {}
        for i, name in enumerate(self.attributes):
            if name in names:
                z = (row[names.index(name)] - self.boundary.score_mean[i]) / self.boundary.score_std[i]
                scores[name] = round(float(z), 3)
        return scores, {name: self.in_words(name, float(row[names.index(name)])) for name in names}

    def in_words(self, name: str, score: float) -> str:
        """A score in the scorer's units: ``82 %``, ``37 years``, ``+1.2``."""
        if not hasattr(self.scorer, "to_units"):
            return f"{score:+.1f}"
        row = torch.full((1, len(self.scorer.attributes)), score, device=self.scorer.mean.device)
        i = list(self.scorer.attributes).index(name)
        value = float(self.scorer.to_units(row)[0, i])
        if self.scorer.kinds[i] == "binary":
            return f"{100 * value:.0f} %"
        return f"{value:.0f} years" if name == "age" else f"{value:+.1f}"

    def predicted(self, edit: Edit, codes: Tensor) -> dict[str, float]:
        """What the boundary says of an edit: of its code, or, where rows move apart, what was asked for."""
        if not edit.moved or (edit.layers is None and (codes.ndim == 2 or self._basis(edit).ndim == 2)):
            return self.predict(codes)
        boundary = self.editors[edit.metric].boundary
        chosen = [boundary.index(name) for name in [*edit.moved, *boundary.held(edit.held, list(edit.moved))]]
        if edit.layers is not None or not by_image(boundary, chosen, None):
            return {}
        asked = torch.zeros(len(chosen), dtype=torch.float64)
        asked[: len(edit.moved)] = torch.tensor(list(edit.moved.values()), dtype=torch.float64)
        moved = predicted_changes(boundary, in_units(boundary, asked, chosen, edit.unit, None), chosen)
        before = self.predict(self.code(edit))
        return {name: round(before[name] + moved[name], 3) for name in before if name in moved}

    def predict(self, codes: Tensor) -> dict[str, float]:
        """What the boundary says of a code: name -> standard deviations from the mean of its sample."""
        boundary = self.editors["stored"].boundary
        if codes.ndim == 3 and boundary.space == "w":
            codes = codes.mean(dim=1)
        scores = (boundary.predict_scores(codes) - boundary.score_mean) / boundary.score_std
        found = zip(self.attributes, scores[0].tolist(), strict=True)
        return {name: round(value, 3) for name, value in found if np.isfinite(value)}

    # -- what the page is told

    def describe(self) -> dict[str, Any]:
        """The attributes, their names and reach in either unit, and what the generator can."""
        reach = (self.boundary.score_std / self.boundary.lambdas).abs() * REACH
        known = bool(reach.isfinite().all())
        entries = []
        for i, name in enumerate(self.attributes):
            title, low, high = SAYINGS.get(name, (name.replace("_", " ").capitalize(), "less", "more"))
            latent = float(reach[i]) if reach[i].isfinite() else REACH
            entry = {"name": name, "title": title, "low": low, "high": high, "latent": round(latent, 3)}
            entries.append(entry | {"core": name in getattr(self.boundary, "core", self.attributes)})
        return {
            "generator": self.generator.name,
            "attributes": entries,
            "reach": REACH,
            "units": ["std", "latent"] if known else ["latent"],
            "metrics": list(self.editors),
            "rows": self.generator.num_ws if self.boundary.space != "z" else 0,
            "truncation": self.truncation,
            "can_truncate": self.generator.w_mean is not None,
            "scored": self.scorer is not None,
            "side": self.generator.img_resolution,
            "device": self.device.type,
        }


def with_metric(boundary: LinearBoundary, metric: str) -> LinearBoundary:
    """The same boundary with another default metric; Σ^½ takes the place of Σ, so that no move decomposes a matrix."""
    other = copy.deepcopy(boundary)
    other.metric = metric
    if metric == "sqrt" and boundary.space != "z" and boundary.covariance is not None:
        other.covariance = matrix_sqrt(boundary.covariance.double())  # in float64, as edits take it: the same bits
        other.metric = "covariance"
    return other


def jpeg(pixels: Pixels, *, side: int | None = None) -> bytes:
    """(H, W, 3) uint8 as JPEG for the screen, without provenance; enlarged to ``side`` where that is more."""
    data, image = BytesIO(), Image.fromarray(pixels)
    if side not in (None, image.width):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    image.save(data, "JPEG", quality=90)
    return data.getvalue()


def indices_text(indices: Sequence[int]) -> str:
    """``[0, 1, 2, 5]`` -> ``0-2,5``: the inverse of :func:`ifgan_pl.generators.sampling.parse_indices`."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
