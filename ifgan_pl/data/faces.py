"""Labelled samples of a generator: labels and codes are kept, the images are made again from them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifgan_pl.core.cores import workers
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, load_tensors, tensors_digest
from ifgan_pl.core.micro_batches import map_micro_batches, micro_batch_size
from ifgan_pl.core.resources import find
from ifgan_pl.data.cache import build_array
from ifgan_pl.data.labelled import AttributeData, LabelTable
from ifgan_pl.data.table import parse_labels, parse_split, read_columns
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.sampling import device_of, sample_z
from ifgan_pl.generators.truncation import truncated
from ifgan_pl.images.read import to_square

FACE_ATTRIBUTES = {
    "eyeglasses": "binary",
    "smile": "binary",
    "male": "binary",
    "age": "continuous",
    "yaw": "continuous",
}


class FacesData(AttributeData):
    """Labelled samples of a generator, synthesised once on the device and cached.

    Args:
        labels: CSV with a column an attribute, ``truncation``, and optionally ``split`` (train, val); a file, or the
            name of a shipped one.
        latents: safetensors file with ``z`` (N, z_dim), one row a line of ``labels``; ``None``: ``labels`` has the
            columns ``seed`` and ``index`` of the package's own sample stream.
        generator: name of the generator whose samples they are.
        resolution: side of a cheaper native image (128: the preview of ``ffhq-mobile``); ``None``: full synthesis.
        attributes: name -> ``binary`` or ``continuous``; a label between 0 and 1 is a probability.
        device: where images are made; ``None``: a GPU where there is one.
        loading: options of :class:`AttributeData`; full synthesis is averaged down to ``image_size``.
    """

    truncation: Tensor
    """(N, 1) float32, of each row; there once the labels are read."""

    def __init__(
        self,
        labels: str | Path = "faces.csv",
        latents: str | Path | None = "faces.safetensors",
        *,
        generator: str = "ffhq-mobile",
        resolution: int | None = None,
        attributes: dict[str, str] | None = None,
        device: str | None = None,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        self.path, self.latents = labels, latents
        self.generator, self.resolution = generator, resolution
        self.chosen = attributes or FACE_ATTRIBUTES
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._samples: Tensor | NDArray[np.int64] = torch.empty(0, 0)

    def read(self) -> LabelTable:
        """Labels of all samples, and with them their truncations and codes.

        Raises:
            UserError: a file is missing, a row is not whole, or codes and rows do not agree.
        """
        path = find(self.path, "checkpoints", (".csv",))
        columns = read_columns(path)
        count = len(next(iter(columns.values())))
        names = [f"row {i}" for i in range(count)]
        targets, whole = parse_labels(columns, list(self.chosen), names, path)
        needed = ["truncation"] if self.latents else ["truncation", "seed", "index"]
        codes, whole_codes = parse_labels(columns, needed, names, path)
        if len(whole) < count or len(whole_codes) < count:
            raise UserError(f"{path}: every row needs numbers in {', '.join((*self.chosen, *needed))}")
        self.truncation = codes[:, :1]
        if self.latents:
            tensors, _ = load_tensors(find(self.latents, "checkpoints", (".safetensors",)))
            self._samples = tensors.get("z", torch.empty(0, 0))
            if len(self._samples) != count:
                raise UserError(
                    f"{self.latents} holds {len(self._samples)} codes z, {path} {count} rows; they must agree"
                )
        else:
            self._samples = np.array([columns["seed"], columns["index"]], dtype=np.int64).T
        split = parse_split(columns.get("split", ["train"] * count), count, path)
        return LabelTable(self.chosen, names, targets, split)

    def z(self, z_dim: int) -> Tensor:
        """Codes of the rows, (N, z_dim) float32, once the labels are read."""
        if isinstance(self._samples, Tensor):
            return self._samples
        z = torch.empty(len(self._samples), z_dim)
        for seed in np.unique(self._samples[:, 0]):
            rows = np.flatnonzero(self._samples[:, 0] == seed)
            z[rows] = sample_z(self._samples[rows, 1], z_dim, seed=int(seed))
        return z

    def codes(self, generator: Generator, z: Tensor, rows: slice) -> Tensor:
        """What synthesis receives for rows, whose z (n, z_dim) are given: (n, w_dim), or (n, num_ws, w_dim)."""
        return truncated(generator, z.to(device_of(generator)), self.truncation[rows])

    def changes(self) -> str:
        """Digest of what codes depend on besides z and truncation; nothing here."""
        return ""

    def build(self) -> list[Path]:
        """Synthesise the samples into the cache, once."""
        generator = load_generator(self.generator, device=self.device)
        if self.resolution is not None and self.resolution not in generator.resolutions:
            raise UserError(f"{self.generator} gives {generator.resolutions} pixels, not resolution={self.resolution}")
        z = self.z(generator.z_dim)
        samples = tensors_digest({"z": z, "truncation": self.truncation})
        return [
            cached_images(
                generator,
                lambda rows: self.codes(generator, z[rows], rows),
                len(self.truncation),
                [samples, *filter(None, [self.changes()])],
                self.resolution,
                self.image_size,
                self.cache_dir,
            )
        ]


def cached_images(
    generator: Generator,
    codes: Callable[[slice], Tensor],
    count: int,
    key: Sequence[str],
    resolution: int | None,
    image_size: int,
    cache_dir: Path,
) -> Path:
    """Images of codes, made once and kept.

    Args:
        generator: on the device that is to make them.
        codes: of some of the ``count`` rows, as synthesis receives them, on that device.
        key: digests of what the codes come from.
        resolution: side of a native image; ``None``: full synthesis.
        image_size: side to which images are averaged.
        cache_dir: where the array goes, under a name that depends on generator, key, resolution and size.

    Returns:
        path of the array, see :func:`ifgan_pl.data.cache.open_array`.
    """
    digest = json_digest([generator.fingerprint, *key, resolution, image_size])
    path = cache_dir / f"faces-{image_size}-{digest[:16]}.npy"
    if path.is_file() and path.with_suffix(".json").is_file():
        return path
    side, device = resolution or generator.img_resolution, device_of(generator)
    step = micro_batch_size(device, side) * (4 * workers() if device.type == "cpu" else 1)

    def small_image(some: Tensor) -> Tensor:
        image = generator.synthesis(some, resolution).clamp(-1, 1)
        return (to_square(image, image_size) * 127.5 + 127.5).round().to(torch.uint8)

    def blocks() -> Iterator[tuple[int, list[NDArray[np.uint8]]]]:
        with torch.no_grad():
            for first in range(0, count, step):
                some = codes(slice(first, min(first + step, count)))
                yield first, list(map_micro_batches(small_image, some, side=side).cpu().numpy())

    build_array(path, count, image_size, blocks(), f"{generator.name} at {side}²")
    return path
