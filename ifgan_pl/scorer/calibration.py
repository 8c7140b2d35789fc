"""Platt's calibration: the temperature and the offset that make a scorer's logits honest."""

import torch
from torch import Tensor

from ifgan_pl.boundaries.solvers import logistic

LEAST_SLOPE = 0.1
"""Scores that rise less than this with their labels are not calibrated: the line through them would mean nothing."""


def platt(scores: Tensor, label: Tensor) -> tuple[float, float] | None:
    """Slope and intercept of the line ``slope * score + intercept`` that makes the labels likeliest as logits.

    The labels are softened as Platt does (1999, eq. 1), which keeps the slope finite where scores separate them.

    Args:
        scores: (N,) logits.
        label: (N,) in [0, 1].

    Returns:
        ``None`` where the labels are of one class only, or the slope is :data:`LEAST_SLOPE` or less.
    """
    scores, label = scores.double(), label.double().clamp(0, 1)
    ones = (label >= 0.5).sum()
    zeros = len(label) - ones
    if not (ones and zeros):
        return None
    low, high = 1 / (zeros + 2), (ones + 1) / (ones + 2)
    soft = low + (high - low) * label
    line = logistic(scores[:, None], soft[:, None], l2=1e-9)
    slope, intercept = float(line.weights[0, 0]), float(line.biases[0])
    return (slope, intercept) if slope > LEAST_SLOPE else None


@torch.no_grad()
def calibrate(
    temperature: Tensor, offset: Tensor, scores: Tensor, target: Tensor, binary: Tensor
) -> tuple[Tensor, Tensor]:
    """Temperatures and offsets that calibrate ``(raw + offset) / temperature``.

    Args:
        temperature, offset: (m,) those in use.
        scores: (N, m) held-out scores, calibrated by those in use.
        target: (N, m) labels, NaN where missing.
        binary: (m,) bool, the columns to calibrate.

    Returns:
        (m,) twice; a column that :func:`platt` leaves alone is as it was.
    """
    temperature, offset = temperature.clone(), offset.clone()
    for column in binary.nonzero().flatten().tolist():
        known = ~target[:, column].isnan()
        line = platt(scores[known, column], target[known, column])
        if line is not None:
            slope, intercept = line
            offset[column] += intercept / slope * temperature[column]
            temperature[column] /= slope
    return temperature, offset
