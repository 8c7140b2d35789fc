"""Samples are scored span by span, and blocks written when they are whole; with a scorer of no cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scores.score_samples import BlockWriter, ScoredSamples, ScoreSamples, Spans
from ifgan_pl.scores.store import ScoreStore

INPUTS = {"seed": 0, "space": "z", "truncation": 1.0, "resolution": 64}


def colours(images: Tensor) -> Tensor:
    return images.mean((2, 3))


def predict(generator: Generator, store: ScoreStore, scorer: Callable[[Tensor], Tensor], batch_size: int) -> None:
    flags: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
    }
    trainer = pl.Trainer(**flags, enable_model_summary=False, use_distributed_sampler=False)
    store.begin()
    trainer.predict(ScoreSamples(generator, scorer, store, batch_size=batch_size), return_predictions=False)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("keep_images", [False, True])
def test_every_block_holds_its_samples_whatever_the_batch(
    tmp_path: Path, dcgan: Generator, batch_size: int, keep_images: bool
) -> None:
    store = ScoreStore(tmp_path, num=10, inputs=INPUTS, numerics={}, block_size=4, keep_images=keep_images)
    predict(dcgan, store, colours, batch_size)
    codes, scores = store.load()
    expected = sample_codes(dcgan, range(10), space="z", truncation=1)
    assert torch.equal(codes, expected)
    assert torch.equal(scores, colours(synthesise(dcgan, expected, space="z")))
    assert store.image_path(9).exists() == keep_images


def test_spans_stay_inside_blocks() -> None:
    spans = Spans([range(4), range(8, 10)], 3)
    assert list(spans) == [(0, 3, 0), (3, 4, 0), (8, 10, 8)]
    assert spans.samples == 6
    assert list(Spans([], 3)) == [(0, 0, 0)]  # of a rank that has nothing to do


def test_a_block_is_written_once_it_is_whole(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path, num=6, inputs={}, numerics={}, block_size=4)
    writer = BlockWriter(store)
    for start, stop in ((0, 2), (2, 4), (4, 6)):
        assert [store.path(block).exists() for block in store.blocks()] == [start >= 4, False]
        rows = torch.arange(start, stop, dtype=torch.float32)[:, None]
        span = (start, stop, 0 if start < 4 else 4)
        writer.write_on_batch_end(None, None, ScoredSamples(span, rows, rows))  # type: ignore[arg-type]
    assert torch.equal(store.load()[1][:, 0], torch.arange(6.0))


def test_scores_that_are_not_finite_are_refused(tmp_path: Path, dcgan: Generator) -> None:
    store = ScoreStore(tmp_path, num=4, inputs=INPUTS, numerics={})
    with pytest.raises(UserError, match="not finite among samples 0 to 3"):
        predict(dcgan, store, lambda images: colours(images) * torch.nan, 4)
    assert not store.path(range(4)).exists()
