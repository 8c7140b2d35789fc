"""FFHQ (Karras 2019) with the labels of the public ``ffhq-features-dataset``."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.labelled import AttributeData, LabelTable, set_aside
from ifgan_pl.images.read import find_images

log = logging.getLogger(__name__)
ATTRIBUTES = {
    "eyeglasses": "binary",
    "smile": "binary",
    "male": "binary",
    "age": "continuous",
    "yaw": "continuous",
    "pitch": "continuous",
}
TRAINING_IMAGES = 60_000
"""FFHQ's authors train on the first 60,000 and validate on the other 10,000."""


class FFHQData(AttributeData):
    """FFHQ images ``IMAGES/**/NNNNN.png`` (or .jpg) with ``FEATURES/NNNNN.json``.

    Attributes: ``eyeglasses`` (any but NoGlasses), ``smile`` (the features' own probability), ``male``, ``age``
    (years), ``yaw`` and ``pitch`` (degrees). Of several faces the largest counts, of none the image is left out.
    The first 60,000 train, one in twenty of them set aside for selection; the other 10,000 report.

    Args:
        images: folder of images, flat or by thousands, at any resolution.
        features: folder of the JSON files.
        loading: options of :class:`AttributeData`.
    """

    def __init__(self, images: str | Path, features: str | Path, **loading: Any) -> None:
        super().__init__(**loading)
        self.images, self.features = Path(images), Path(features)

    def read(self) -> LabelTable:
        """Labels of the images that have features; the others are counted and named in a warning.

        Raises:
            UserError: a folder is missing, or no image has features.
        """
        if not self.features.is_dir():
            raise UserError(f"no such folder: {self.features}")
        files, targets, broken, faceless = [], [], [], []
        for image in find_images(self.images):
            try:
                row = read_features(self.features / f"{image.stem}.json")
            except (OSError, ValueError, KeyError, TypeError):
                broken.append(image.name)
                continue
            if row is None:
                faceless.append(image.name)
                continue
            files.append(str(image))
            targets.append(row)
        for names, what in ((broken, "without readable features"), (faceless, "in which the features see no face")):
            if names:
                log.warning("left out %d images %s: %s", len(names), what, ", ".join(names[:5]))
        if not files:
            raise UserError(f"no image in {self.images} has features NNNNN.json in {self.features}")
        training = np.array([int(Path(file).stem) < TRAINING_IMAGES for file in files])
        split = set_aside(np.where(training, "train", "report"))
        return LabelTable(ATTRIBUTES, files, torch.tensor(targets), split)


def read_features(path: Path) -> list[float] | None:
    """Labels of the largest face in a features file, in the order of ``ATTRIBUTES``; ``None``: no face."""
    faces: list[dict[str, Any]] = json.loads(path.read_text())
    if not faces:
        return None
    face = max(faces, key=lambda f: f["faceRectangle"]["width"] * f["faceRectangle"]["height"])["faceAttributes"]
    labels = {
        "eyeglasses": float(face["glasses"] != "NoGlasses"),
        "smile": float(face["smile"]),
        "male": {"male": 1.0, "female": 0.0}.get(face["gender"], math.nan),
        "age": float(face["age"]),
        "yaw": float(face["headPose"]["yaw"]),
        "pitch": float(face["headPose"]["pitch"]),
    }
    return [labels[name] for name in ATTRIBUTES]
