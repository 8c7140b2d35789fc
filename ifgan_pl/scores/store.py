"""The store of latent codes and scores: one file a block of indices, resumable by any number of ranks.

A folder of ``manifest.json`` and ``block-<first index>.safetensors``. A block is written once, under a temporary name,
with a digest of its tensors; nothing is merged, and the store is complete when every block is there.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import changed, load_tensors, save_tensors, tensors_digest, write_json

BLOCK_SIZE = 1024
MANIFEST = "manifest.json"


class ScoreStore:
    """Codes and scores of samples 0 … num - 1.

    Attributes:
        root: the folder.
        num: how many samples it is to hold.
        inputs: what the scores are a function of: fingerprints of generator and scorer, seed, truncation, space, ….
        numerics: the record that decides their bits (DESIGN §4).
        block_size: indices a file.
        keep_images: whether the scored images are kept beside the blocks.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        num: int,
        inputs: Mapping[str, Any],
        numerics: Mapping[str, Any],
        block_size: int = BLOCK_SIZE,
        keep_images: bool = False,
    ) -> None:
        if num < 1 or block_size < 1:
            raise UserError(f"num and block_size must be at least 1, got {num} and {block_size}")
        self.root = Path(root)
        self.num = num
        self.inputs = dict(inputs)
        self.numerics = dict(numerics)
        self.block_size = block_size
        self.keep_images = keep_images

    @classmethod
    def open(cls, root: str | Path) -> "ScoreStore":
        """A store on disk.

        Raises:
            UserError: there is none, or its manifest cannot be read.
        """
        path = Path(root) / MANIFEST
        if not path.is_file():
            raise UserError(f"{root} is no score store (no {MANIFEST}): make one with `python train.py score`")
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            return cls(root, **{k: manifest[k] for k in ("num", "inputs", "numerics", "block_size")})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}); delete {root} and score again") from None

    def begin(self, *, allow_numerics_change: bool = False) -> list[str]:
        """Create the store, or agree to continue the one on disk; call it on one rank only.

        Returns:
            notes for the user, such as a changed numerics record.

        Raises:
            UserError: the folder holds something else, or a store of other inputs; the differences are named.
        """
        if not (self.root / MANIFEST).exists():
            if self.root.exists() and any(self.root.iterdir()):
                raise UserError(f"{self.root} is not empty and is no score store: choose another --out")
            self._write_manifest()
            return []
        old = ScoreStore.open(self.root)
        differences = changed(old.inputs, self.inputs)
        if old.block_size != self.block_size:
            differences.append(f"block_size {old.block_size} -> {self.block_size}")
        if differences:
            raise UserError(f"{self.root} was made from other inputs ({'; '.join(differences)}): choose another --out")
        numerics = changed(old.numerics, self.numerics)
        if numerics and not allow_numerics_change:
            raise UserError(
                f"{self.root} was computed under another numerics record ({'; '.join(numerics)}): scores would agree "
                "to 1e-2 std, not bit for bit; --allow-numerics-change accepts that"
            )
        if self.num != old.num or numerics:
            self._write_manifest()
        return (
            [f"numerics changed ({'; '.join(numerics)}): new blocks agree with old ones to 1e-2 std"]
            if numerics
            else []
        )

    def _write_manifest(self) -> None:
        manifest = {k: getattr(self, k) for k in ("num", "inputs", "numerics", "block_size")}
        write_json(self.root / MANIFEST, manifest)

    def blocks(self) -> list[range]:
        """All blocks, in order of their indices."""
        return [range(i, min(i + self.block_size, self.num)) for i in range(0, self.num, self.block_size)]

    def path(self, block: range) -> Path:
        """The file of a block."""
        return self.root / f"block-{block.start:09d}.safetensors"

    def image_path(self, index: int) -> Path:
        """The file of a kept image."""
        return self.root / "pictures" / f"{index:09d}.jpg"

    def write(self, block: range, latents: Tensor, scores: Tensor) -> None:
        """Write a block: latents (n, …) and scores (n, m), n = len(block)."""
        tensors = {"latents": latents, "scores": scores}
        if any(len(t) != len(block) for t in tensors.values()):
            raise ValueError(f"{len(block)} rows expected, got {[len(t) for t in tensors.values()]}")
        save_tensors(self.path(block), tensors, {"digest": tensors_digest(tensors), "start": block.start})

    def read(self, block: range) -> dict[str, Tensor]:
        """A block's ``latents`` and ``scores``.

        Raises:
            UserError: it is missing, torn or altered.
        """
        tensors, metadata = load_tensors(self.path(block))
        if tensors_digest(tensors) != metadata.get("digest"):
            raise UserError(
                f"{self.path(block)} does not match its digest: run `python train.py score` again to redo it"
            )
        if len(tensors["scores"]) != len(block):
            raise UserError(f"{self.path(block)} holds {len(tensors['scores'])} samples, {len(block)} expected")
        return tensors

    def missing(self) -> tuple[list[range], list[str]]:
        """Blocks still to compute, and why those that are there but not sound must be redone."""
        todo, notes = [], []
        for block in self.blocks():
            if not self.path(block).exists() or (
                self.keep_images and not all(self.image_path(i).exists() for i in block)
            ):
                todo.append(block)
                continue
            try:
                self.read(block)
            except UserError as error:
                todo.append(block)
                notes.append(f"redoing block {block.start}: {error}")
        return todo, notes

    def load(self, ranks: Ranks = ALONE) -> tuple[Tensor, Tensor]:
        """Codes (n, …) and scores (n, m), float32, of this rank's share of the blocks.

        Raises:
            UserError: a block is missing, torn or altered.
        """
        parts = [self.read(block) for block in self._share(ranks)]
        if not parts:
            first = self.read(self.blocks()[0])
            return first["latents"][:0], first["scores"][:0]
        return torch.cat([p["latents"] for p in parts]), torch.cat([p["scores"] for p in parts])

    def stream(self, ranks: Ranks = ALONE, *, layers: Sequence[int] | None = None) -> tuple["StoredCodes", Tensor]:
        """As :meth:`load`, but the codes stay in their files; ``layers``: rows of W+ codes to read, default all."""
        blocks = self._share(ranks)
        parts = [load_tensors(self.path(block), names=("scores",))[0]["scores"] for block in blocks]
        empty = torch.empty(0, len(self.inputs["attributes"]))
        return StoredCodes(self, blocks, layers), torch.cat([empty, *parts])

    def _share(self, ranks: Ranks) -> list[range]:
        absent = [b.start for b in self.blocks() if not self.path(b).exists()]
        if absent:
            raise UserError(
                f"{self.root} is not complete: {len(absent)} of {len(self.blocks())} blocks are missing, the first at "
                f"index {absent[0]}; run the same `python train.py score` again to continue it"
            )
        share = ranks.share(len(self.blocks()))
        return self.blocks()[share.start : share.stop]


class StoredCodes:
    """Codes of a run of a store's blocks as rows (n, d), read from their files whenever they are asked for.

    Rows of :class:`ifgan_pl.boundaries.solvers.moments.Rows`.

    Args:
        store: complete.
        blocks: one after another.
        layers: rows of W+ codes that are read, side by side; ``None``: all.
    """

    dtype = torch.float32
    device = torch.device("cpu")

    def __init__(self, store: ScoreStore, blocks: Sequence[range], layers: Sequence[int] | None = None) -> None:
        self.store, self.blocks, self.layers = store, list(blocks), None if layers is None else list(layers)
        first = self._read(self.store.blocks()[0])
        self.shape = torch.Size([sum(map(len, self.blocks)), first.shape[1]])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Tensor:
        start, stop, _ = rows.indices(len(self))
        parts = [torch.empty(0, self.shape[1])]
        before = 0
        for block in self.blocks:
            low, high = max(start - before, 0), min(stop - before, len(block))
            if low < high:
                parts.append(self._read(block)[low:high])
            before += len(block)
        return torch.cat(parts)

    def _read(self, block: range) -> Tensor:
        codes = self.store.read(block)["latents"]
        if self.layers is not None:
            codes = codes[:, self.layers]
        return codes.flatten(1)
