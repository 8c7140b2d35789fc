"""Truncation: codes move towards the mean code, which trades variety for plausible images (Karras 2019, app. B)."""

from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.base import Generator


def truncate(w: Tensor, w_mean: Tensor, psi: float, cutoff: int | None = None, num_ws: int = 1) -> Tensor:
    """``w_mean + psi (w - w_mean)``, on the first ``cutoff`` styles only where that is given (Karras 2019, app. B).

    Args:
        w: (N, w_dim) or (N, num_ws, w_dim), float.
        w_mean: (w_dim,).
        psi: truncation; 1 returns ``w`` itself, 0 the mean code.
        cutoff: how many styles to truncate; ``None``: all.
        num_ws: rows of the W+ code that a cutoff makes of a (N, w_dim) input.

    Returns:
        the shape of ``w``, or (N, num_ws, w_dim) where ``cutoff`` is given.
    """
    if psi == 1 and cutoff is None:
        return w
    mean = w_mean.to(w)
    if cutoff is None:
        return mean + psi * (w - mean)
    ws = w if w.ndim == 3 else w[:, None].expand(-1, num_ws, -1)
    scale = w.new_full((ws.shape[1], 1), 1.0)
    scale[:cutoff] = psi
    return mean + scale * (ws - mean)


def truncated(generator: Generator, z: Tensor, truncation: Tensor) -> Tensor:
    """What synthesis receives for z, each sample with its own truncation.

    Args:
        generator: on the device of ``z``.
        z: (N, z_dim).
        truncation: (N, 1) psi of each sample.

    Returns:
        truncated W codes (N, w_dim); z itself for a family without W.
    """
    if "w" not in generator.spaces:
        return z
    mean = generator.w_mean
    assert mean is not None
    return mean + truncation.to(z) * (generator.mapping(z) - mean)


def check_psi(truncation: float) -> None:
    """Raise a UserError for a psi outside [0, 1]."""
    if not 0 <= truncation <= 1:
        raise UserError(f"--truncation is psi, from 0 to 1; got {truncation:g}")


def check_truncation(generator: Generator, truncation: float) -> None:
    """Raise a UserError for a psi outside [0, 1], or other than 1 where the family has no W, and so no mean code."""
    check_psi(truncation)
    if generator.w_mean is None and truncation != 1:
        raise UserError(f"{generator.name} has no W space and so no truncation: give --truncation 1")
