"""Images in one memory-mapped array, made once and kept; broken ones are counted, named and left out."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import atomic_path, json_digest, write_json
from ifgan_pl.core.progress import CountBar
from ifgan_pl.images.read import decode_or_name, warn_of_broken


def build_array(
    path: Path, count: int, size: int, blocks: Iterable[tuple[int, Sequence[NDArray[np.uint8] | str]]], what: str
) -> None:
    """Write an image array and, beside it, the names of what is broken.

    Args:
        path: of the ``.npy`` file; a ``.json`` of the same name holds the broken ones.
        count, size: number and side of the images.
        blocks: (first position, images (3, size, size) uint8, or the name of a broken one), in any order.
        what: is being done, for the progress bar.
    """
    broken: dict[str, str] = {}
    with atomic_path(path) as temporary, CountBar(what, count) as bar:
        images = np.lib.format.open_memmap(temporary, "w+", np.uint8, (count, 3, size, size))
        for first, block in blocks:
            for position, image in enumerate(block, first):
                if isinstance(image, str):
                    broken[str(position)] = image
                else:
                    images[position] = image
            bar.advance(len(block))
        images.flush()
        del images
    write_json(path.with_suffix(".json"), broken)


def open_array(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Open an array of :func:`build_array`; warns of broken images.

    Returns:
        (N, 3, size, size) uint8, memory-mapped, zeros where an image is broken; (N,) whether it is whole.

    Raises:
        UserError: the cache is corrupt.
    """
    try:
        images = np.load(path, mmap_mode="r")
        broken = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"the cache {path} cannot be read ({error}); delete it") from None
    good = np.ones(len(images), dtype=bool)
    good[[int(key) for key in broken]] = False
    warn_of_broken(list(broken.values()))
    return images, good


def decoded_path(files: Sequence[Path], size: int, cache_dir: Path) -> Path:
    """Name of the cache of these files at this size; another file, length or time of change gives another name."""

    def stamp(path: Path) -> tuple[str, int, int]:
        try:
            stat = path.stat()
        except OSError:
            return str(path), -1, -1
        return str(path), stat.st_size, stat.st_mtime_ns

    return cache_dir / f"images-{size}-{json_digest([stamp(f.absolute()) for f in files])[:16]}.npy"


def decode_all(files: Sequence[Path], size: int, cache_dir: Path, workers: int | None = None) -> Path:
    """Decode files into the cache, once, on several threads; the path of the array."""
    path = decoded_path(files, size, cache_dir)
    if path.is_file() and path.with_suffix(".json").is_file():
        return path

    def blocks() -> Iterator[tuple[int, Sequence[NDArray[np.uint8] | str]]]:
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            for first in range(0, len(files), 256):
                yield first, list(pool.map(lambda file: decode_or_name(file, size), files[first : first + 256]))

    build_array(path, len(files), size, blocks(), "decoding")
    return path
