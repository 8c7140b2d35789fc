"""``Editor``: a generator and its boundaries, applied to codes in batches. No files, no Trainer."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import canonical
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import check_space, device_of, sample_codes, synthesise
from ifgan_pl.generators.truncation import check_truncation

Strength = float | Tensor
Unit = Literal["std", "latent"]
Mode = Literal["shift", "to"]
log = logging.getLogger(__name__)


class Editor:
    """Edit faces along the boundaries of their generator.

    Args:
        generator: see :func:`ifgan_pl.generators.load_generator`; edits are computed on its device.
        boundary: fitted in a latent space of this generator's family.

    Raises:
        UserError: the boundary belongs to another family, space or dimension.
    """

    def __init__(self, generator: Generator, boundary: LinearBoundary) -> None:
        check_space(generator, boundary.space)
        boundary.check_codes(space=boundary.space, family=generator.family)
        dim = generator.z_dim if boundary.space == "z" else generator.w_dim
        dim *= len(boundary.layers) if boundary.space == "w+" else 1
        if boundary.normals.shape[1] != dim:
            raise UserError(
                f"the boundary has dimension {boundary.normals.shape[1]}, {generator.name} has {dim} in "
                f"{boundary.space.upper()}"
            )
        self.generator = generator
        self.boundary = boundary.to(device_of(generator))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names that can be edited or held."""
        return tuple(self.boundary.attributes)

    def codes(
        self,
        seeds: Sequence[int] | None = None,
        *,
        latents: Tensor | None = None,
        space: str | None = None,
        seed: int = 0,
        truncation: float = 0.7,
    ) -> Tensor:
        """Codes to edit, in the boundary's space (or W+ for a W boundary, where ``latents`` are that).

        Args:
            seeds: sample indices of the stream ``seed``.
            latents: or codes from elsewhere: (N, z_dim), (N, w_dim) or (N, num_ws, w_dim); W and W+ are taken as
                synthesis receives them, Z is mapped and truncated.
            space: of ``latents``; ``None``: W+ if they have three dimensions, else the boundary's.
            seed: stream of ``seeds``.
            truncation: psi, for ``seeds`` and for Z latents.

        Raises:
            UserError: neither or both given, a space that does not fit, codes that are not finite.
        """
        if (seeds is None) == (latents is None):
            raise UserError("give either seeds or latents: the faces to edit")
        home = self.boundary.space
        if seeds is not None:
            return sample_codes(self.generator, seeds, seed=seed, space=home, truncation=truncation)
        assert latents is not None
        space = space or ("w+" if latents.ndim == 3 else home)
        check_space(self.generator, space)
        latents = latents.to(device_of(self.generator), torch.float32)
        expected = {"z": (self.generator.z_dim,), "w": (self.generator.w_dim,)}.get(space)
        rows = {self.generator.num_ws, 18 if self.generator.num_ws == 16 else self.generator.num_ws}
        if (expected and tuple(latents.shape[1:]) != expected) or (
            not expected
            and (latents.ndim != 3 or latents.shape[1] not in rows or latents.shape[2] != self.generator.w_dim)
        ):
            shape = "(N, " + ", ".join(map(str, expected or (self.generator.num_ws, self.generator.w_dim))) + ")"
            raise UserError(f"{space.upper()} codes of {self.generator.name} are {shape}, got {tuple(latents.shape)}")
        if not bool(latents.isfinite().all()):
            bad = int((~latents.flatten(1).isfinite().all(dim=1)).sum())
            raise UserError(f"{bad} of {len(latents)} latents hold NaN or infinite values")
        if space == "z" and home != "z":
            check_truncation(self.generator, truncation)
            with torch.no_grad():
                latents = self.generator.truncate(self.generator.mapping(latents), truncation)
            space = "w"
        if space == "w+" and latents.shape[1] > self.generator.num_ws:
            log.warning(f"{self.generator.name} has {self.generator.num_ws} styles: the last rows of W+ are not used")
            latents = latents[:, : self.generator.num_ws]
        self.boundary.check_codes(latents, space=space, family=self.generator.family)
        return latents

    def shifted(
        self,
        codes: Tensor,
        changes: Mapping[str, Strength],
        *,
        hold: Sequence[str] | str = (),
        unit: str = "std",
        mode: str = "shift",
        metric: str | None = None,
        layers: Sequence[int] | None = None,
    ) -> Tensor:
        """Edited codes; differentiable in the strengths and in the codes.

        Args:
            codes: (N, d) in the boundary's space, or W+ (N, num_ws, w_dim).
            changes: attribute -> strength, a number or a tensor () or (N,).
            hold: attributes that must not move, see :meth:`LinearBoundary.held`.
            unit: ``std``: standard deviations of the score; ``latent``: latent units along the normal (the paper's α).
            mode: ``shift`` adds to each code; ``to`` moves each code to that score (``std``: in standard deviations
                from the mean) or that signed distance (``latent``).
            metric: see :meth:`LinearBoundary.edit_shift`.
            layers: rows of W+ that are shifted; the predicted change then no longer applies.

        Returns:
            the shape of ``codes``, or (N, num_ws, w_dim) where ``layers`` are given or rows move apart (metric
            ``image``).

        Raises:
            UserError: a request that nothing can satisfy.
        """
        if mode not in get_args(Mode):
            raise UserError(f"unknown mode {mode!r}; known: {', '.join(get_args(Mode))}")
        names = [self.boundary.attributes[self.boundary.index(name)] for name in changes]
        strengths = torch.stack(
            [torch.as_tensor(s, dtype=codes.dtype, device=codes.device).expand(len(codes)) for s in changes.values()], 1
        )
        if not bool(strengths.isfinite().all()):
            raise UserError(f"strengths must be finite, got {', '.join(f'{k}={v}' for k, v in changes.items())}")
        if len(set(names)) != len(names):
            raise UserError(f"an attribute is edited twice: {', '.join(changes)}")
        held = self.boundary.held(hold, names)
        steps = []
        for name in names:  # the shift is linear in the changes: one step a unit of each, the others held
            self.boundary.edit_shift(dict.fromkeys(names, 1.0), hold=held, unit=unit, metric=metric)
            others = [n for n in names if n != name]
            steps.append(self.boundary.edit_shift({name: 1.0}, hold=[*others, *held], unit=unit, metric=metric))
        basis = torch.stack(steps).to(codes)
        if mode == "to":
            strengths = strengths - self._position(codes, names, unit)
        delta = strengths @ basis
        if layers is None and codes.ndim == 2 and delta.shape == codes.shape:
            return codes + delta
        return self._layered(codes, delta, layers)

    def _position(self, codes: Tensor, names: Sequence[str], unit: str) -> Tensor:
        """Where codes stand: signed distances, or scores in standard deviations from the mean. (N, k)."""
        if codes.ndim == 3 and self.boundary.space == "w":
            codes = codes.mean(dim=1)
        rows = [self.boundary.index(name) for name in names]
        if unit == "latent":
            return self.boundary.distance(codes)[:, rows]
        scores = self.boundary.predict_scores(codes)
        return ((scores - self.boundary.score_mean) / self.boundary.score_std)[:, rows]

    def _layered(self, codes: Tensor, delta: Tensor, layers: Sequence[int] | None) -> Tensor:
        """W+ codes shifted by ``delta`` (N, w_dim), the same for each row, or (N, rows · w_dim), a row for each."""
        num_ws = self.generator.num_ws
        if layers is not None and (
            self.boundary.space == "z" or not layers or not all(0 <= layer < num_ws for layer in layers)
        ):
            raise UserError(f"layers are rows of W+, 0 to {num_ws - 1}, of a boundary in W or W+; got {list(layers)}")
        ws = codes if codes.ndim == 3 else codes[:, None].expand(-1, num_ws, -1)
        delta = delta.reshape(len(delta), -1, ws.shape[2])
        if 1 < delta.shape[1] != num_ws:  # of a generator of the family that has other rows
            delta = F.pad(delta, (0, 0, 0, num_ws - delta.shape[1]))
        if layers is not None:
            mask = ws.new_zeros(num_ws, 1)
            mask[list(layers)] = 1
            delta = mask * delta
        return ws + delta

    def images(self, codes: Tensor, *, truncation: float = 0.7, resolution: int | None = None) -> Tensor:
        """Images (N, 3, H, W) float32 in [-1, 1] of codes as :meth:`codes` and :meth:`shifted` give them.

        Args:
            codes: (N, d) or (N, num_ws, w_dim).
            truncation: psi, for a boundary in Z of a family that has W; elsewhere codes are truncated already.
            resolution: see :func:`ifgan_pl.generators.sampling.synthesise`.
        """
        space = "w+" if codes.ndim == 3 else self.boundary.space
        return synthesise(self.generator, codes, space=space, truncation=truncation, resolution=resolution).clamp(-1, 1)

    def edit(
        self,
        seeds: Sequence[int] | None = None,
        *,
        latents: Tensor | None = None,
        space: str | None = None,
        edit: Mapping[str, Strength] | None = None,
        hold: Sequence[str] | str = (),
        unit: str = "std",
        mode: str = "shift",
        metric: str | None = None,
        layers: Sequence[int] | None = None,
        seed: int = 0,
        truncation: float = 0.7,
        resolution: int | None = None,
        **attributes: Strength,
    ) -> Tensor:
        """Edited images of samples or of codes; see :meth:`codes`, :meth:`shifted` and :meth:`images`.

        ``editor.edit(range(8), smile=+2.0, hold=["age", "gender"])`` is short for ``edit={"smile": +2.0}``.

        Returns:
            (N, 3, H, W) float32 in [-1, 1] on the generator's device; differentiable in the strengths.
        """
        changes = {**(edit or {}), **attributes}
        if not changes:
            raise UserError(f"nothing to edit: name at least one of {', '.join(self.attributes)}")
        codes = self.codes(seeds, latents=latents, space=space, seed=seed, truncation=truncation)
        codes = self.shifted(codes, changes, hold=hold, unit=unit, mode=mode, metric=metric, layers=layers)
        return self.images(codes, truncation=truncation, resolution=resolution)


def parse_changes(texts: Sequence[str]) -> dict[str, float]:
    """``["smile=+2", "age=-1"]`` -> ``{"smile": 2.0, "age": -1.0}``.

    Raises:
        UserError: something else, or an attribute twice.
    """
    changes: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise UserError(f"an edit is written attribute=strength, such as smile=+2; got {text!r}") from None
        if not equals or canonical(name) in map(canonical, changes):
            raise UserError(f"{name!r} is edited twice")
        changes[name] = number
    return changes
