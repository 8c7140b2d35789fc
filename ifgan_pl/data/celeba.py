"""CelebA (Liu 2015): 40 attributes, 5 landmarks and yaw, with the official partition, by torchvision's reader."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CelebA

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.labelled import AttributeData, LabelTable

FILES = (
    "img_align_celeba",
    "list_attr_celeba.txt",
    "list_landmarks_align_celeba.txt",
    "list_eval_partition.txt",
    "list_bbox_celeba.txt",
    "identity_CelebA.txt",
)
WIDTH, HEIGHT = 178, 218
RENAMED = {"smiling": "smile"}
COORDINATES = tuple(
    f"{point}_{axis}" for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"
)
SPLITS = np.array(["train", "select", "report"])


def yaw_from_landmarks(points: Tensor) -> Tensor:
    """Yaw in degrees from five landmarks, positive where the nose points to the right of the image.

    In a turned head the eyes draw together as cos θ and the nose leaves the line from between the eyes to between the
    corners of the mouth as sin θ; tan θ is their ratio for a nose as far in front of the eyes as half their distance.
    A roll in the plane of the image changes nothing.

    Args:
        points: (N, 5, 2) left eye, right eye, nose, left and right corner of the mouth (left of the image), in any
            unit, square pixels.

    Returns:
        (N,) in (-90, 90).
    """
    left, right, nose, *mouth = points.unbind(1)
    between_eyes, between_corners = (left + right) / 2, (mouth[0] + mouth[1]) / 2
    across = right - left
    half = across.norm(dim=1) / 2
    across = across / (2 * half[:, None]).clamp(min=1e-9)
    down = torch.stack([-across[:, 1], across[:, 0]], 1)

    def along(vector: Tensor, axis: Tensor) -> Tensor:
        return (vector * axis).sum(1)

    face = between_corners - between_eyes
    share = along(nose - between_eyes, down) / along(face, down)
    offset = along(nose - between_eyes - share[:, None] * face, across)
    return torch.rad2deg(torch.atan2(offset, half))


class CelebAData(AttributeData):
    """CelebA as torchvision lays it out: ``ROOT/celeba/img_align_celeba/*.jpg`` and its text files.

    The centre square (178²) of each aligned image. The official partition: train fits, valid selects, test reports.
    Attributes are CelebA's, in lower case, ``smiling`` as ``smile``.

    Args:
        root: folder that holds ``celeba/``.
        attributes: which of the 40; ``None``: all.
        landmarks: add the coordinates of the five landmarks (-1 to 1 over the square) and ``yaw`` in degrees.
        image_size: side in pixels at which images are kept.
        loading: ``batch_size``, ``num_workers``, ``cache_dir``, ``seed`` of :class:`AttributeData`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        attributes: list[str] | None = None,
        landmarks: bool = True,
        image_size: int = 224,
        **loading: Any,
    ) -> None:
        super().__init__(image_size=image_size, **loading)
        self.root, self.chosen, self.landmarks = Path(root), attributes, landmarks

    def read(self) -> LabelTable:
        """Labels of all images.

        Raises:
            UserError: a file is missing, is not the published one, or has no such attribute.
        """
        folder = self.root / "celeba"
        absent = [name for name in FILES if not (folder / name).exists()]
        if absent:
            raise UserError(f"{folder} is not CelebA: {', '.join(absent)} missing; unpack CelebA there")
        try:
            reader = CelebA(self.root, split="all", target_type=["attr", "landmarks"])
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{folder}: {' '.join(str(error).split())}") from None
        published = [name.lower() for name in reader.attr_names if name]
        names = [RENAMED.get(name, name) for name in published]
        wanted = self.chosen or names
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise UserError(f"CelebA has no attribute {', '.join(unknown)}; it has {', '.join(names)}")
        targets = reader.attr[:, [names.index(name) for name in wanted]].float()
        attributes = dict.fromkeys(wanted, "binary")
        if self.landmarks:
            corner = torch.tensor([0.0, (HEIGHT - WIDTH) / 2])
            points = (reader.landmarks_align.reshape(-1, 5, 2) - corner + 0.5) * (2 / WIDTH) - 1
            targets = torch.cat([targets, points.flatten(1), yaw_from_landmarks(points)[:, None]], 1)
            attributes |= dict.fromkeys((*COORDINATES, "yaw"), "continuous")
        partition = partition_of(folder / "list_eval_partition.txt")
        files = [str(folder / "img_align_celeba" / name) for name in reader.filename]
        split = SPLITS[[partition[name] for name in reader.filename]]
        return LabelTable(attributes, files, targets, split)


def partition_of(path: Path) -> dict[str, int]:
    """File name -> 0 (train), 1 (valid) or 2 (test)."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {fields[0]: int(fields[1]) for fields in lines if fields}
