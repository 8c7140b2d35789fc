"""Photographs of a folder as aligned faces in one array, made once and kept."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, load_tensors, save_tensors
from ifgan_pl.core.progress import CountBar
from ifgan_pl.images.read import find_images
from ifgan_pl.photos.alignment import similarity
from ifgan_pl.photos.faces import Face, open_photo

log = logging.getLogger(__name__)
SIZE = 128
BLOCK = 125
"""Files of a block."""


def aligned_photos(folder: Path, cache: Path, *, most: int | None = None, ranks: Ranks = ALONE) -> Tensor:
    """The largest face of each photograph of a folder in which one is found, in the order of their names.

    Args:
        folder: of photographs.
        cache: where the aligned faces are kept, in blocks; they are made again where a file's name or length changes.
        most: photographs to look at, the first ones; ``None``: all.
        ranks: that share the blocks.

    Returns:
        (N, 4, 128, 128) uint8: RGB, and 255 where the photograph is, 0 where the square leaves it.
    """
    files = find_images(folder)[:most]
    stamp = json_digest([[file.name, file.stat().st_size] for file in files])[:16]
    paths = [cache / stamp / f"{first:06d}.safetensors" for first in range(0, len(files), BLOCK)]
    missing = [path for path in paths if not path.is_file()]
    mine = [missing[i] for i in ranks.share(len(missing))]
    with CountBar("aligning photographs", len(mine) * BLOCK) as bar:
        for path in mine:
            first = int(path.stem)
            found = [face for file in files[first : first + BLOCK] if (face := aligned(file)) is not None]
            faces = np.stack(found) if found else np.zeros((0, 4, SIZE, SIZE), np.uint8)
            save_tensors(path, {"faces": torch.from_numpy(faces)}, {})
            bar.advance(BLOCK)
    ranks.barrier()
    together = torch.cat([load_tensors(path)[0]["faces"] for path in paths])
    if len(together) < len(files) and ranks.rank == 0:
        log.warning(
            "%d of %d photographs in %s are left out: no face was found", len(files) - len(together), len(files), folder
        )
    return together


def aligned(file: Path) -> NDArray[np.uint8] | None:
    """The face of a file, (4, 128, 128) uint8; ``None`` where none is found."""
    try:
        face = open_photo(file).faces[0]
        return np.concatenate([face.aligned(SIZE).transpose(2, 0, 1), inside(face)[None]])
    except UserError:
        return None


def inside(face: Face) -> NDArray[np.uint8]:
    """255 where the aligned image shows the photograph, 0 where it shows what lies beyond: (128, 128) uint8."""
    y, x = np.mgrid[:SIZE, :SIZE]
    transform = similarity(face.quad, SIZE)
    places = np.stack([x, y], -1) @ transform[:, :2].T + transform[:, 2]
    height, width = face.photo.pixels.shape[:2]
    shown = ((places >= 0) & (places <= (width - 1, height - 1))).all(-1)
    return np.asarray(shown * 255, np.uint8)
