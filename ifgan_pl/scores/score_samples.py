"""Sample, synthesise, score and store, through ``Trainer.predict``; blocks are shared out over the ranks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.cores import workers
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.micro_batches import map_micro_batches, micro_batch_size
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import native_resolution, sample_codes, synthesise
from ifgan_pl.images.write import save_image, to_uint8
from ifgan_pl.scores.store import ScoreStore

Span = tuple[int, int, int]
"""(start, stop, first index of the block it belongs to); start = stop for a rank that has nothing to do."""


class Spans(Dataset[Span]):
    """Runs of consecutive indices, each inside one block."""

    def __init__(self, blocks: list[range], batch_size: int) -> None:
        self.spans = [
            (i, min(i + batch_size, block.stop), block.start)
            for block in blocks
            for i in range(block.start, block.stop, batch_size)
        ] or [(0, 0, 0)]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, item: int) -> Span:
        return self.spans[item]

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    @property
    def samples(self) -> int:
        """How many indices these spans cover."""
        return sum(stop - start for start, stop, _ in self.spans)


class ScoredSamples(NamedTuple):
    """A span, its codes (n, …) and scores (n, m), on the CPU, and images (n, 3, H, W) where they are kept."""

    span: Span
    codes: Tensor
    scores: Tensor
    images: Tensor | None = None

    @property
    def samples(self) -> int:
        """How many samples that is."""
        return self.span[1] - self.span[0]


class ScoreSamples(pl.LightningModule):
    """Score the samples of a :class:`ScoreStore`'s missing blocks, which its :class:`BlockWriter` writes.

    Args:
        generator: makes the images.
        scorer: images (n, 3, H, W) -> scores (n, m).
        store: begun; its ``inputs`` name seed, space, truncation and resolution.
        batch_size: samples a step, that is between two updates of the progress bar, rounded up to whole micro-batches;
            it does not change the result.
    """

    def __init__(
        self, generator: Generator, scorer: Callable[[Tensor], Tensor], store: ScoreStore, *, batch_size: int = 32
    ) -> None:
        super().__init__()
        self.generator = generator
        self.scorer = scorer
        self.store = store
        self.batch_size = batch_size

    def configure_callbacks(self) -> list[pl.Callback]:
        """The writer."""
        return [BlockWriter(self.store)]

    def on_predict_start(self) -> None:
        """Own modules are moved by Lightning; a plain callable or a user's own generator is not."""
        for part in (self.generator, self.scorer):
            if isinstance(part, nn.Module):
                part.to(self.device).eval()

    def predict_dataloader(self) -> DataLoader[Span]:
        """This rank's share of the missing blocks, as listed by rank 0 before any rank writes."""
        todo, notes = self.store.missing() if self.trainer.is_global_zero else ([], [])
        todo, notes = self.trainer.strategy.broadcast((todo, notes))
        for note in notes:
            pl.utilities.rank_zero_warn(note)
        mine = todo[self.trainer.global_rank :: self.trainer.world_size]
        least = micro_batch_size(self.device, self.side)
        return DataLoader(Spans(mine, -(-self.batch_size // least) * least), batch_size=None)

    @property
    def side(self) -> int:
        """Side of the images that are synthesised, in pixels."""
        return native_resolution(self.generator, self.store.inputs["resolution"])[0]

    def predict_step(self, span: Span, batch_idx: int) -> ScoredSamples:
        """Score one span.

        Raises:
            UserError: scores that are not finite.
        """
        start, stop, _ = span
        if start == stop:
            return ScoredSamples(span, torch.empty(0), torch.empty(0))
        inputs = self.store.inputs
        codes = sample_codes(
            self.generator,
            range(start, stop),
            seed=inputs["seed"],
            space=inputs["space"],
            truncation=inputs["truncation"],
        )
        options = {k: inputs[k] for k in ("space", "truncation", "resolution")}
        images = None
        if self.store.keep_images:
            images = synthesise(self.generator, codes, **options)
            scores = map_micro_batches(self.scorer, images, side=self.side).float()
        else:
            scores = score_codes(self.generator, self.scorer, codes, **options)
        if not torch.isfinite(scores).all():
            raise UserError(f"the scorer gave scores that are not finite among samples {start} to {stop - 1}")
        return ScoredSamples(span, codes.cpu(), scores.cpu(), images)


class BlockWriter(BasePredictionWriter):
    """Write each block of a store once all its samples are scored, and their images before it."""

    def __init__(self, store: ScoreStore) -> None:
        super().__init__(write_interval="batch")
        self.store = store
        self._rows: list[ScoredSamples] = []

    def write_on_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: ScoredSamples, *_: Any
    ) -> None:
        """Take a span; write its block if it is the last of it."""
        start, stop, first = prediction.span
        if start == stop:
            return
        if prediction.images is not None:
            self._write_images(range(start, stop), prediction.images)
        self._rows.append(prediction._replace(images=None))
        block = range(first, min(first + self.store.block_size, self.store.num))
        if stop == block.stop:
            codes, scores = (torch.cat([getattr(row, name) for row in self._rows]) for name in ("codes", "scores"))
            self.store.write(block, codes, scores)
            self._rows.clear()

    def _write_images(self, indices: range, images: Tensor) -> None:
        seed = self.store.inputs["seed"]
        with ThreadPoolExecutor(workers()) as pool:
            jobs = [
                pool.submit(save_image, self.store.image_path(i), pixels, {"index": i, "seed": seed})
                for i, pixels in zip(indices, to_uint8(images), strict=True)
            ]
            for job in jobs:
                job.result()


def score_codes(
    generator: Generator,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    *,
    space: str,
    truncation: float = 1.0,
    resolution: int | None = None,
) -> Tensor:
    """Scores (N, m) float32 of the images of codes, each image scored in the micro-batch that made it."""

    def score(piece: Tensor) -> Tensor:
        images = synthesise(generator, piece, space=space, truncation=truncation, resolution=resolution)
        return scorer(images).float()

    return map_micro_batches(score, codes, side=native_resolution(generator, resolution)[0])
