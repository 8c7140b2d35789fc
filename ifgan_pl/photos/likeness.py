"""What the generator cannot express of a photograph, carried over to an edited image where the edit changes little."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[np.float32]

COARSE, NEAR = 24 / 1024, 12 / 1024
"""Standard deviations of the blurs that part coarse from fine, and that spread the change, in sides of the image."""
GRID = 256
"""Side of the images that are blurred."""
KEPT = 0.9
"""Share of what is coarse that is kept where the edit changes all."""
TOLERANCE = 32.0
"""Change in levels at which e⁻¹ of what is fine is kept."""


def carry_over(photo: NDArray[np.generic], before: NDArray[np.generic], after: NDArray[np.generic]) -> Values:
    """The photograph with an edit: the change of the generator's image, and of the photograph what it leaves alone.

    Args:
        photo: (S, S, 3), values 0 to 255: the aligned photograph.
        before, after: (S, S, 3): what the generator makes of it without and with the edit.

    Returns:
        (S, S, 3) float32, about 0 to 255; ``photo`` exactly where nothing changes.
    """
    photo, before, after = (np.asarray(image, np.float32) for image in (photo, before, after))
    change, rest = after - before, photo - before
    size = np.abs(change).mean(axis=2, keepdims=True)
    lost = 1 - np.exp(-np.square(_blurred(size, NEAR) / TOLERANCE))
    coarse = _blurred(rest, COARSE)
    return np.asarray(photo + change - lost * (rest - KEPT * coarse), np.float32)


def _blurred(image: Values, radius: float) -> Values:
    """An image (S, S, C) under a Gaussian whose standard deviation is given in sides; what it has no need to keep is
    averaged away first."""
    size = min(len(image), GRID)
    place = (np.arange(size) + 0.5) / size
    gaussian = np.exp(-(((place[:, None] - place) / radius) ** 2) / 2)
    gaussian /= gaussian.sum(axis=1, keepdims=True)
    planes = []
    for plane in np.moveaxis(image, 2, 0):
        small = gaussian @ _resized(plane, size, Image.Resampling.BOX) @ gaussian.T
        planes.append(_resized(small, len(image), Image.Resampling.BICUBIC))
    return np.stack(planes, axis=2)


def _resized(plane: NDArray[np.floating], size: int, method: Image.Resampling) -> Values:
    """A plane (S, S) at another size, float32."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((size, size), method))
