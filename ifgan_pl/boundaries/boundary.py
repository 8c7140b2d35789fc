"""``LinearBoundary``: hyperplanes of m attributes at once, with everything that an edit or a report needs of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ifgan_pl import functional
from ifgan_pl.boundaries.filters import by_image, filters, in_units, steps_for
from ifgan_pl.boundaries.solvers.losses import masked_loss
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors, save_tensors
from ifgan_pl.generators.base import SPACES

METRICS = ("covariance", "sqrt", "identity")
"""Metrics of the least shift: Σ, Σ^½ and I, with Σ the covariance of the codes. In Z they agree."""
KINDS = ("binary", "continuous")
FORMAT = "boundary/1"
STATISTICS = {"lambdas": (), "offsets": (), "score_mean": (), "score_std": (), "calibration": (2,)}
"""Buffers with one row for each attribute, and the rest of their shapes."""


class LinearBoundary(nn.Module):
    """Hyperplanes ``nᵀx + b = 0`` of m attributes in a latent space, and the statistics of their scores.

    Codes are those that synthesis receives, after truncation. ``normals`` and ``biases`` are the parameters;
    everything else is fixed by the sample on which the boundary was fitted. Loaded and fitted normals are unit.

    Args:
        normals: (m, d) floating; its dtype is kept.
        biases: (m,); ``None``: zeros.
        attributes: m distinct names.
        kinds: ``binary`` or ``continuous`` for each; ``None``: all binary.
        space: ``z``, ``w`` or ``w+``; W+ codes are flattened, layer after layer: d = len(layers) · w_dim.
        family: the generator family whose latent space it is; empty: unknown.
        num_ws: rows of a W+ code of the family.
        layers: rows of W+ codes that the hyperplanes look at, and that edits along them move; ``None``: all.
        truncation: ψ of the sample; ``None``: mixed or unknown. For information.
        lambdas: (m,) score change per latent unit along the normal (section 3.1); ``None``: unknown (NaN).
        offsets: (m,) score on the boundary; the linear model is ``score = λ (nᵀx + b) + offset``.
        score_mean, score_std: (m,) of the sample.
        calibration: (m, 2) slope and intercept of the logit of the attribute's probability in the distance.
        code_mean, covariance: (d,) and (d, d) of the sample's codes; ``None``: unknown (in Z: 0 and the identity).
        metric: the default of :meth:`direction` and :meth:`edit_shift`; ``covariance``, ``sqrt`` or ``identity``.
        gradients: (m, rows, w_dim) mean change of each score per latent unit of each row of W+ (in Z one row), through
            the generator (:mod:`ifgan_pl.boundaries.gradients`); NaN where unknown. Edits follow them where they can.
        spread: (m, rows, w_dim), the gradients times the metric ``image``.
        response: (m, m) what edits by gradients move, in standard deviations: row t, per one asked of attribute t.
        core: attributes that ``hold="all"`` means; ``None``: all. Those added to a boundary later are not among them.
        metrics: JSON-able figures of the fit, e.g. accuracies, by attribute.
        provenance: JSON-able description of where it comes from.
    """

    lambdas: Tensor
    offsets: Tensor
    score_mean: Tensor
    score_std: Tensor
    calibration: Tensor
    code_mean: Tensor | None
    covariance: Tensor | None
    gradients: Tensor | None
    spread: Tensor | None
    response: Tensor | None

    def __init__(
        self,
        normals: Tensor,
        biases: Tensor | None = None,
        *,
        attributes: Sequence[str],
        kinds: Sequence[str] | None = None,
        space: str,
        family: str = "",
        num_ws: int = 1,
        layers: Sequence[int] | None = None,
        truncation: float | None = 1.0,
        lambdas: Tensor | None = None,
        offsets: Tensor | None = None,
        score_mean: Tensor | None = None,
        score_std: Tensor | None = None,
        calibration: Tensor | None = None,
        code_mean: Tensor | None = None,
        covariance: Tensor | None = None,
        metric: str = "covariance",
        gradients: Tensor | None = None,
        spread: Tensor | None = None,
        response: Tensor | None = None,
        core: Sequence[str] | None = None,
        metrics: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if normals.ndim != 2 or not normals.is_floating_point():
            raise ValueError(f"normals: floating (m, d) expected, got {normals.dtype} {tuple(normals.shape)}")
        count, dim = normals.shape
        self.attributes = tuple(attributes)
        self.kinds = tuple(kinds) if kinds is not None else ("binary",) * count
        if len(self.attributes) != count or len(set(self.attributes)) != count or len(self.kinds) != count:
            raise ValueError(f"{count} normals need {count} distinct attributes and kinds, got {self.attributes}")
        if space not in SPACES or metric not in METRICS or not set(self.kinds) <= set(KINDS):
            raise ValueError(
                f"space of {SPACES}, metric of {METRICS}, kinds of {KINDS}; got {space}, {metric}, {kinds}"
            )
        self.space, self.family, self.num_ws, self.truncation = space, family, num_ws, truncation
        self.layers = tuple(range(num_ws)) if layers is None else tuple(layers)
        if layers is not None and (
            space != "w+" or not layers or sorted(set(layers) & set(range(num_ws))) != [*layers]
        ):
            raise ValueError(f"layers: rows of W+ codes in order, of 0 to {num_ws - 1}, expected; got {list(layers)}")
        self.metric = metric
        self.core = self.attributes if core is None else tuple(core)
        if not set(self.core) <= set(self.attributes):
            raise ValueError(f"core: some of {self.attributes} expected, got {self.core}")
        self.metrics, self.provenance = dict(metrics or {}), dict(provenance or {})
        self.normals = nn.Parameter(normals.detach().clone())
        self.biases = nn.Parameter(normals.new_zeros(count) if biases is None else biases.detach().to(normals).clone())
        for name, value in zip(STATISTICS, (lambdas, offsets, score_mean, score_std, calibration), strict=True):
            unknown = normals.new_full((count, *STATISTICS[name]), torch.nan)
            self.register_buffer(name, unknown if value is None else value.to(normals))
        if space == "z" and covariance is None:
            covariance, code_mean = torch.eye(dim), torch.zeros(dim)
        self.register_buffer("code_mean", None if code_mean is None else code_mean.to(normals))
        self.register_buffer("covariance", None if covariance is None else covariance.to(normals))
        for name, value in (("gradients", gradients), ("spread", spread), ("response", response)):
            self.register_buffer(name, None if value is None else value.to(normals))
        rows = (count, 0 if gradients is None else gradients.shape[1], dim)
        shapes = {"biases": (count,), "code_mean": (dim,), "covariance": (dim, dim), "gradients": rows}
        shapes |= {"spread": rows, "response": (count, count)}
        for name, shape in {**shapes, **{name: (count, *rest) for name, rest in STATISTICS.items()}}.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"{name}: shape {shape} expected, got {tuple(value.shape)}")

    # -- what it says about codes

    def decision_function(self, codes: Tensor) -> Tensor:
        """``nᵀx + b``: (N, d), or for W+ (N, num_ws, w_dim), -> (N, m); positive on the attribute's side."""
        return self._flat(codes) @ self.normals.mT + self.biases

    def distance(self, codes: Tensor) -> Tensor:
        """Signed distance in latent units, whatever the length of the normals: (N, d) -> (N, m)."""
        return functional.signed_distance(self._flat(codes), self.normals, self.biases)

    def predict_scores(self, codes: Tensor) -> Tensor:
        """Scores of the linear model, ``λ (nᵀx + b) + offset``: (N, d) -> (N, m); NaN where λ is unknown."""
        return self.lambdas * self.distance(codes) + self.offsets

    def predict_proba(self, codes: Tensor) -> Tensor:
        """Probability of the attribute: (N, d) -> (N, m) in [0, 1]; NaN where no calibration is known.

        Of a binary attribute, that it is present; of a continuous one, that its score is above the sample's median.
        """
        return (self.calibration[:, 0] * self.distance(codes) + self.calibration[:, 1]).sigmoid()

    def loss(
        self,
        codes: Tensor,
        targets: Tensor,
        name: str = "logistic",
        *,
        weights: Tensor | None = None,
        l2: float = 0.0,
    ) -> Tensor:
        """What a fit minimises, for training the normals and biases jointly with anything else by gradient.

        Args:
            codes: as :meth:`decision_function` takes them.
            targets, name, weights: see :func:`ifgan_pl.boundaries.solvers.losses.masked_loss`.
            l2: penalty on ``|n|²/2`` of each normal.

        Returns:
            scalar, summed over attributes.
        """
        total = masked_loss(name, self.decision_function(codes), targets, weights).sum()
        return total + l2 / 2 * self.normals.square().sum() if l2 else total

    # -- directions and edits; constants: differentiate through `functional` where a gradient to the normals is wanted

    def index(self, name: str) -> int:
        """Position of an attribute; ``gender`` = ``male`` and ``pose`` = ``yaw``. UserError lists the known names."""
        return attribute_index(name, self.attributes)

    def held(self, hold: Sequence[str] | str, edited: Sequence[str]) -> list[str]:
        """The attributes that a request holds, each once.

        Args:
            hold: names; ``all`` is each of ``core`` that is not edited, ``every`` each attribute that is not edited.
            edited: names.

        Raises:
            UserError: an unknown name, or an attribute both edited and held.
        """
        moved = {self.index(name) for name in edited}
        groups = {"all": self.core, "every": self.attributes}
        found: list[int] = []
        for word in [hold] if isinstance(hold, str) else hold:
            named = [self.index(name) for name in groups.get(word, (word,))]
            both = [self.attributes[i] for i in named if i in moved]
            if both and word not in groups:
                raise UserError(f"{both[0]} is both edited and held; drop one of them")
            found += [i for i in named if i not in moved]
        return [self.attributes[i] for i in dict.fromkeys(found)]

    def direction(self, name: str, *, hold: Sequence[str] | str = (), metric: str | None = None) -> Tensor:
        """Unit direction (d,) that raises one attribute and leaves the held ones where they are, in the linear model.

        ``metric="identity"`` is the paper's: the normal, or its projection off the held normals (section 3.3).

        Args:
            name: an attribute.
            hold: attributes held, see :meth:`held`.
            metric: ``image``, ``covariance``, ``sqrt`` or ``identity``; ``None``: ``image`` if it can, else the stored.

        Raises:
            UserError: unknown name, an attribute both edited and held, directions that depend on each other.
        """
        step = self.edit_shift({name: 1.0}, hold=hold, unit="latent", metric=metric).double()
        unit: Tensor = step / torch.linalg.vector_norm(step)
        return unit.to(self.normals.dtype)

    @torch.no_grad()
    def edit_shift(
        self,
        changes: Mapping[str, float],
        *,
        hold: Sequence[str] | str = (),
        unit: str = "std",
        metric: str | None = None,
    ) -> Tensor:
        """The least shift of a code whose predicted changes are exactly those asked, and zero for what is held.

        ``δ = M N_S (N_SᵀM N_S)⁻¹ Λ_S⁻¹ c``, S = edited and held. ``unit="latent", metric="identity"`` without holds and
        with one attribute is the paper's ``α n``.

        Args:
            changes: attribute -> change, in standard deviations of its score (``unit="std"``), or as signed distance
                along its normal in latent units (``unit="latent"``).
            hold: attributes held, see :meth:`held`.
            metric: as in :meth:`direction`.

        Returns:
            (d,); for W+, and in the metric ``image``, (rows · w_dim,), zero in rows that the boundary does not look at.

        Raises:
            UserError: as in :meth:`direction`, or no change asked for, one that is not finite, a unit that is unknown
                or that needs statistics which the boundary lacks.
        """
        edited = {self.index(name): float(value) for name, value in changes.items()}
        if len(edited) != len(changes):
            raise UserError(f"an attribute is edited twice: {', '.join(changes)}")
        if not edited or not np.isfinite(list(edited.values())).all():
            raise UserError(f"an edit needs attributes with finite changes, got {dict(changes)}")
        held = [self.index(name) for name in self.held(hold, list(changes))]
        chosen = [*edited, *held]
        wanted = self.normals.new_tensor([*edited.values(), *[0.0] * len(held)], dtype=torch.float64)
        wanted = in_units(self, wanted, chosen, unit, metric)
        gradients = by_image(self, chosen, metric)
        if gradients:
            wanted = steps_for(self, wanted, chosen)
        rows, spread = filters(self, chosen, metric)
        try:
            step = functional.least_shift(rows, spread, wanted)
        except ValueError:
            names = ", ".join(self.attributes[i] for i in chosen)
            raise UserError(f"the directions of {names} depend on each other; hold or edit fewer of them") from None
        step = step.to(self.normals.dtype)
        if gradients or self.space != "w+" or len(self.layers) == self.num_ws:
            return step
        whole = step.new_zeros(self.num_ws, len(step) // len(self.layers))
        whole[list(self.layers)] = step.view(len(self.layers), -1)
        return whole.flatten()

    def semantic_covariance(self) -> Tensor:
        """``Σ_s = Λ Nᵀ Σ N Λ`` (m, m): what the linear model says of the covariance of the scores."""
        return functional.semantic_covariance(self.normals, self.lambdas, self.metric_matrix("covariance"))

    def metric_matrix(self, name: str | None) -> Tensor | None:
        """M (d, d) of a metric, of the stored default for ``None``; ``None`` for the identity."""
        name = self.metric if name is None else name
        if name not in METRICS:
            raise UserError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
        if name == "identity" or self.space == "z":
            return None
        if self.covariance is None:
            raise UserError(f"this boundary holds no covariance of the codes, which metric {name} needs; use identity")
        return self.covariance if name == "covariance" else functional.matrix_sqrt(self.covariance.double())

    # -- where it belongs

    def check_codes(self, codes: Tensor | None = None, *, space: str, family: str = "") -> None:
        """Refuse codes of another latent space, family or dimension, or that are not finite.

        A boundary in W serves W+ codes as well: its direction is added to every layer.

        Raises:
            UserError: naming both sides.
        """
        if space != self.space and (self.space, space) != ("w", "w+"):
            raise UserError(f"the boundary is in {self.space.upper()}, the codes are in {space.upper()}")
        if family and self.family and family != self.family:
            raise UserError(f"the boundary belongs to {self.family}, the codes to {family}")
        if codes is None:
            return
        dim = self.normals.shape[1]
        layered = self.space == "w+" and codes.ndim == 3
        if layered and codes.shape[1] != self.num_ws:
            raise UserError(f"the boundary is of codes with {self.num_ws} layers, the codes have {codes.shape[1]}")
        if (self._flat(codes) if layered else codes).shape[-1] != dim:
            raise UserError(f"the boundary has dimension {dim}, the codes have {codes.shape[-1]}")
        if not bool(codes.isfinite().all()):
            raise UserError("the codes hold values that are not finite")

    def _flat(self, codes: Tensor) -> Tensor:
        return codes[:, list(self.layers)].flatten(-2) if self.space == "w+" and codes.ndim == 3 else codes

    # -- files

    def save(self, path: str | Path) -> None:
        """Write one safetensors file (see :mod:`ifgan_pl.core.files`); equal boundaries give equal bytes."""
        save_tensors(path, self.state_dict(), {"format": FORMAT, **self._described()})

    def _described(self) -> dict[str, Any]:
        """The arguments that are no tensors."""
        names = ["attributes", "kinds", "space", "family", "num_ws", "truncation", "metric", "metrics", "provenance"]
        names += ["layers"] if len(self.layers) < self.num_ws else []
        names += ["core"] if self.core != self.attributes else []
        return {name: getattr(self, name) for name in names}

    def replaced(self, **arguments: Any) -> Self:
        """The same boundary but for some arguments of the constructor."""
        return type(self)(**{**self.state_dict(), **self._described(), **arguments})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file of :meth:`save`, or InterFaceGAN's ``.npy`` where the name ends so (see :meth:`from_npy`).

        Raises:
            UserError: missing, damaged, or not a boundary.
        """
        if Path(path).suffix == ".npy":
            return cls.from_npy(path)
        tensors, metadata = load_tensors(path)
        if metadata.pop("format", None) != FORMAT:
            raise UserError(f"{path} is not a boundary file of this version ({FORMAT})")
        if "score_sd" in tensors:  # its name in files of version 0.1
            tensors["score_std"] = tensors.pop("score_sd")
        try:
            arguments: dict[str, Any] = {**tensors, **metadata}
            boundary = cls(**arguments)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path} is not a valid boundary: {error}") from None
        if not bool(boundary.normals.isfinite().all()):
            raise UserError(f"{path} is not a valid boundary: its normals are not finite")
        return boundary

    @classmethod
    def from_npy(
        cls, path: str | Path, *, attribute: str | None = None, space: str | None = None, family: str = ""
    ) -> Self:
        """Read InterFaceGAN's boundary, a (1, d) array; in float64, the metric is the identity.

        Args:
            attribute: its name; ``None``: the part of the file's name before ``_boundary``.
            space: ``None``: ``w`` where the file's name says ``_w_``, else ``z``, as InterFaceGAN names its files.

        Raises:
            UserError: missing, or not such an array.
        """
        path = Path(path)
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is not a readable .npy array ({error})") from None
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 2 or len(array) != 1:
            raise UserError(f"{path}: a boundary of shape (1, d) expected, got {getattr(array, 'shape', 'an archive')}")
        if not np.isfinite(array).all() or not array.any():
            raise UserError(f"{path}: the boundary is zero or not finite")
        stem = path.stem.removesuffix("_boundary")
        return cls(
            torch.from_numpy(array.astype(array.dtype.newbyteorder("="))),
            attributes=[attribute or stem],
            space=space or ("w" if stem.endswith("_w") else "z"),
            family=family,
            metric="identity",
        )

    def to_npy(self, path: str | Path, name: str, *, hold: Sequence[str] | str = (), metric: str | None = None) -> None:
        """Write one direction as InterFaceGAN's boundary: a float64 array (1, d) of unit norm.

        Without ``hold`` and ``metric`` it is the normal itself; InterFaceGAN's format has no place for the bias.
        """
        from ifgan_pl.core.files import atomic_path

        direction = self.direction(name, hold=hold, metric=metric or "identity")
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, direction.double().cpu().numpy()[None], allow_pickle=False)
