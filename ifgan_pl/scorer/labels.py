"""Labels of training rows: their statistics, and what becomes of them when an image is turned or mirrored."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""CelebA's five points; ``left`` is the left of the image. Attribute ``nose_x`` is a coordinate from -1 to 1."""


def label_statistics(targets: Tensor, attributes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of the known labels of each attribute; a constant label has a deviation of 0.

    Args:
        targets: (N, m) labels of the training rows, NaN where missing.
        attributes: names of the columns.

    Returns:
        (m,) float64 each.

    Raises:
        UserError: an attribute has no label at all.
    """
    targets = torch.as_tensor(targets, dtype=torch.float64)
    if targets.ndim != 2 or targets.shape[1] != len(attributes):
        raise ValueError(f"targets: (N, {len(attributes)}) labels expected, got {tuple(targets.shape)}")
    count = (~targets.isnan()).sum(0)
    absent = [name for name, labels in zip(attributes, count.tolist(), strict=True) if not labels]
    if absent:
        raise UserError(f"no training row has a label of {', '.join(absent)}: label some, or leave the attribute out")
    mean = targets.nan_to_num().sum(0) / count
    variance = ((targets - mean).nan_to_num() ** 2).sum(0) / count
    return mean, variance.sqrt()


def moved_labels(target: Tensor, theta: Tensor, attributes: Sequence[str], mirror_sign: Tensor) -> Tensor:
    """Labels of augmented images: odd attributes change sign under a mirror, landmarks move with the image.

    Args:
        target: (N, m) labels of the images as they were.
        theta: (N, 2, 3) geometry, see :func:`ifgan_pl.scorer.augment.augment`.
        attributes: names of the columns; :data:`LANDMARKS` with ``_x`` and ``_y`` are points.
        mirror_sign: (m,) -1 for an odd attribute, 1 for any other.
    """
    mirrored = torch.linalg.det(theta[:, :, :2]) < 0
    target = torch.where(mirrored[:, None], target * mirror_sign, target)
    points = [name for name in LANDMARKS if f"{name}_x" in attributes]
    if not points:
        return target
    columns = [[attributes.index(f"{name}_{axis}") for axis in "xy"] for name in points]
    # columns[k] = where point k is written; a mirror writes it to its counterpart
    swap = {"left": "right", "right": "left"}
    partner = [points.index("_".join([swap.get(n.split("_")[0], n.split("_")[0]), *n.split("_")[1:]])) for n in points]
    xy = target[:, columns] - theta[:, None, :, 2]
    xy = torch.linalg.solve(theta[:, None, :, :2], xy[..., None])[..., 0]
    xy = torch.where(mirrored[:, None, None], xy[:, partner], xy)
    target = target.clone()
    target[:, columns] = xy
    return target
