"""The protocol of a face generator, in NVIDIA's vocabulary, and what the families share."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ifgan_pl.core.files import tensors_digest

SPACES = ("z", "w", "w+")
"""Names of the latent spaces: ``z`` (N, z_dim), ``w`` (N, w_dim), ``w+`` (N, num_ws, w_dim)."""


@runtime_checkable
class Generator(Protocol):
    """A face generator ``g``. Families subclass ``nn.Module`` and have these members; a user's own object may too.

    Attributes:
        name: what the files call it, e.g. ``ffhq-mobile``.
        family: of its latent space; equal for generators with one mapping network, which one boundary serves all.
        z_dim, w_dim, c_dim: dimensions of Z, W and of a class label (0: unconditional). ``w_dim`` is ``z_dim`` for a
            family without W.
        num_ws: how many style inputs synthesis has (the rows of a W+ code); 1 for a family without W.
        img_resolution, img_channels: side of the square image in pixels; number of its channels.
        spaces: the latent spaces that it has, e.g. ``("z", "w", "w+")``.
        w_mean: (w_dim,) float32, the centre of truncation; ``None`` for a family without W.
        resolutions: those that ``synthesis`` gives natively, in pixels, ascending; the last is ``img_resolution``.
        fingerprint: hexadecimal digest of weights and configuration; equal digests give equal images.
    """

    name: str
    family: str
    z_dim: int
    w_dim: int
    c_dim: int
    num_ws: int
    img_resolution: int
    img_channels: int
    spaces: tuple[str, ...]
    fingerprint: str

    @property
    def resolutions(self) -> tuple[int, ...]: ...

    @property
    def w_mean(self) -> Tensor | None: ...

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Z to W: (N, z_dim) -> (N, w_dim), before truncation."""
        ...

    def truncate(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Move w towards ``w_mean``: (N, w_dim) -> (N, w_dim), or (N, num_ws, w_dim) where ``cutoff`` is given."""
        ...

    def synthesis(self, w: Tensor, resolution: int | None = None) -> Tensor:
        """Images of truncated codes.

        Args:
            w: (N, w_dim), or W+ (N, num_ws, w_dim); for a family without W, z (N, z_dim). float32, whatever dtype
                the family computes in.
            resolution: of a cheaper native image, one of ``resolutions``; ``None``: ``img_resolution``.

        Returns:
            (N, 3, H, W) in [-1, 1]; may overshoot. Noise is fixed: equal codes give equal images.
        """
        ...


def edit_space(generator: Generator) -> str:
    """The latent space in which this generator's boundaries are fitted by default: W where it has one, else Z."""
    return "w" if "w" in generator.spaces else "z"


def check_codes(w: Tensor, *, dim: int, num_ws: int, name: str) -> None:
    """Raise a ValueError unless latent codes are (N, dim) or, where ``num_ws`` > 1, (N, num_ws, dim)."""
    if not ((w.ndim == 2 and w.shape[1] == dim) or (w.ndim == 3 and w.shape[1:] == (num_ws, dim))):
        expected = f"(N, {dim})" + (f" or (N, {num_ws}, {dim})" if num_ws > 1 else "")
        raise ValueError(f"{name}: latent codes of shape {expected} expected, got {tuple(w.shape)}")


def check_resolution(generator: Generator, resolution: int | None) -> int:
    """``resolution``, or ``img_resolution`` for ``None``; raises a ValueError unless it is a native one."""
    if resolution is None:
        return generator.img_resolution
    if resolution not in generator.resolutions:
        raise ValueError(f"{generator.name}: resolution must be one of {generator.resolutions}, got {resolution}")
    return resolution


def check_channels(channels: Sequence[int], img_resolution: int) -> None:
    """Raise a ValueError unless one number of channels is given for each power of 2 from 4 to ``img_resolution``."""
    if img_resolution != 4 * 2 ** (len(channels) - 1) or len(channels) < 2:
        raise ValueError(f"{len(channels)} resolutions from 4 px do not end at {img_resolution} px")


def parameter_digest(module: nn.Module) -> str:
    """sha256 of a module's parameters and buffers, as hexadecimal."""
    return tensors_digest(module.state_dict())
