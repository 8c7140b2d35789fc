"""What heads see of faces: features of a scorer and latent codes, computed once and kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, load_tensors, save_tensors
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.progress import CountBar
from ifgan_pl.core.resources import PLACES, cache_dir
from ifgan_pl.generators import Generator, edit_space
from ifgan_pl.generators.sampling import (
    check_space,
    native_resolution,
    sample_codes,
    synthesise,
)
from ifgan_pl.generators.truncation import check_truncation
from ifgan_pl.images.read import decode_or_name, split_broken, to_float, warn_of_broken
from ifgan_pl.scorer.loading import Scorer, scorer_inputs
from ifgan_pl.scores.score_file import ScoreFile
from ifgan_pl.scores.store import ScoreStore

BLOCK = 256
"""Faces of a file of the cache."""
SHIPPED = "checkpoints/ffhq-mobile-features.safetensors"
"""Features of the first samples of seed 0, in 8 bits: they cost nothing where generator and scorer are the shipped."""
WHERE = ("family", "num_ws", "space", "truncation")
SIDE = 256
"""Side at which a scorer without ``image_size`` sees image files."""


@dataclass(frozen=True)
class Faces:
    """Some faces as a head sees them.

    Attributes:
        features: (n, F) float32, the last layer of a scorer (or its scores, where it tells no features).
        codes: (n, d) float32 as synthesis receives them; ``None`` for image files.
        inputs: JSON-able: generator, scorer, seed, space and truncation of samples; names of image files (``files``).
    """

    features: Tensor
    codes: Tensor | None
    inputs: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.features)

    def at(self, rows: Sequence[int] | Tensor) -> "Faces":
        """Some of them."""
        chosen = torch.as_tensor(rows, dtype=torch.int64)
        return Faces(self.features[chosen], None if self.codes is None else self.codes[chosen], self.inputs)


def features_of_samples(
    generator: Generator,
    scorer: Scorer,
    num: int,
    *,
    seed: int = 0,
    truncation: float = 0.7,
    space: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Faces:
    """Features and codes of samples 0 … num - 1, from the cache, from the shipped file, or computed and kept.

    Args:
        generator, scorer: on one device.
        num: how many samples.
        seed, truncation, space: of the codes; by default W where the generator has it.
        progress: called with the number of faces each time some are done; ``None``: a bar.

    Raises:
        UserError: what the generator refuses, or no samples.
    """
    if num < 1:
        raise UserError(f"--num must be at least 1, got {num}")
    space = space or edit_space(generator)
    check_space(generator, space)
    check_truncation(generator, truncation)
    resolution = generator.resolutions[0]
    inputs = {
        "generator": generator.fingerprint,
        "scorer": scorer_inputs(scorer, type(scorer).__name__)["scorer"],
        "seed": seed,
        "space": space,
        "truncation": float(truncation),
        "resolution": resolution,
    }
    folder = cache_dir() / f"features-{json_digest(inputs)[:16]}"
    paths = [folder / f"block-{start:09d}.safetensors" for start in range(0, num, BLOCK)]
    missing = [path for path in paths if not path.is_file()]
    ready = _shipped(inputs)

    def make(path: Path) -> None:
        start = int(path.stem.removeprefix("block-"))
        codes = sample_codes(generator, range(start, start + BLOCK), seed=seed, space=space, truncation=truncation)
        if start + BLOCK <= len(ready):
            features = ready[start : start + BLOCK]
        else:
            features = features_of_codes(
                generator, scorer, codes, space=space, truncation=truncation, resolution=resolution
            )
        save_tensors(path, {"codes": codes.cpu(), "features": features.half().cpu()}, {"inputs": inputs})

    if missing and progress is None:
        with CountBar("features of faces", len(missing) * BLOCK) as bar:
            for path in missing:
                make(path)
                bar.advance(BLOCK)
    else:
        for path in missing:
            make(path)
            assert progress is not None
            progress(BLOCK)
    parts = [load_tensors(path)[0] for path in paths]
    features = torch.cat([part["features"] for part in parts])[:num].float()
    codes = torch.cat([part["codes"] for part in parts])[:num].flatten(1)
    where = {"family": generator.family, "num_ws": generator.num_ws, "generator_name": generator.name}
    return Faces(features, codes, {**inputs, **where})


def faces_of_scores(source: ScoreStore | ScoreFile, num: int | None = None) -> Faces:
    """Scores as features, with their codes: no image is made.

    Args:
        source: of :func:`ifgan_pl.scores.score_file.open_scores`.
        num: how many of its samples; ``None``: all.
    """
    codes, scores = source.load() if isinstance(source, ScoreStore) else source.load(num=num)
    where = {k: source.inputs[k] for k in (*WHERE, "generator_name", "generator", "scorer", "seed")}
    return Faces(scores[:num].float(), codes[:num].flatten(1), where)


def features_of_codes(
    generator: Generator,
    scorer: Scorer,
    codes: Tensor,
    *,
    space: str,
    truncation: float = 1.0,
    resolution: int | None = None,
) -> Tensor:
    """Features (N, F) float32 of the images of codes; see :func:`ifgan_pl.generators.sampling.synthesise`."""

    @torch.inference_mode()
    def look(piece: Tensor) -> Tensor:
        images = synthesise(generator, piece, space=space, truncation=truncation, resolution=resolution)
        return features_of(scorer)(images).float()

    return map_micro_batches(look, codes, side=native_resolution(generator, resolution)[0]).clone()


def features_of_files(scorer: Scorer, files: Sequence[Path]) -> Faces:
    """Features of image files, of which the centre square is looked at; broken ones are named and left out.

    Raises:
        UserError: none is whole.
    """
    size = getattr(scorer, "image_size", SIDE)
    decoded = [decode_or_name(file, size) for file in files]
    names, whole, broken = split_broken(files, decoded)
    warn_of_broken(broken)
    if not names:
        raise UserError(f"none of the {len(files)} images can be read")

    @torch.inference_mode()
    def look(piece: Tensor) -> Tensor:
        return features_of(scorer)(to_float(piece)).float()

    images = torch.stack([torch.from_numpy(image) for image in whole])
    return Faces(map_micro_batches(look, images).clone(), None, {"files": names})


def features_of(scorer: Scorer) -> Callable[[Tensor], Tensor]:
    """Images (N, 3, H, W) -> features (N, F): a scorer's ``features``, or its scores where it has none."""
    found: Callable[[Tensor], Tensor] = getattr(scorer, "features", scorer)
    if isinstance(scorer, nn.Module):
        scorer.eval()
    return found


def _shipped(inputs: Mapping[str, Any]) -> Tensor:
    """The shipped features (n, F) of samples of these inputs; (0, 0) where none ship."""
    for place in PLACES:
        if (place / SHIPPED).is_file():
            tensors, metadata = load_tensors(place / SHIPPED)
            if metadata.get("inputs") == dict(inputs):
                return tensors["features"].float() * tensors["scale"]
    return torch.empty(0, 0)
