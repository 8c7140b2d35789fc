"""Features and codes of faces: computed once, kept, and the same by whatever way they come."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.attributes.faces import features_of, features_of_codes, features_of_files, features_of_samples
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.scorer.loading import load_scorer


def test_they_are_computed_once_and_more_are_added(
    dcgan: Generator, small_scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path))
    scorer, done = load_scorer(small_scorer), list[int]()
    first = features_of_samples(dcgan, scorer, 100, truncation=1, progress=done.append)
    assert done == [256]
    more = features_of_samples(dcgan, scorer, 300, truncation=1, progress=done.append)
    assert done == [256, 256]
    assert (len(first), len(more)) == (100, 300)
    assert first.codes is not None
    assert more.codes is not None
    assert torch.equal(first.features, more.features[:100])
    codes = sample_codes(dcgan, range(300), space="z", truncation=1)
    assert torch.equal(more.codes, codes)
    direct = features_of_codes(dcgan, scorer, codes[290:], space="z")
    torch.testing.assert_close(more.features[290:], direct, atol=2e-3, rtol=2e-3)
    assert more.inputs["family"] == dcgan.family
    other = features_of_samples(dcgan, scorer, 10, seed=1, truncation=1, progress=done.append)
    assert done == [256, 256, 256]
    assert not torch.equal(other.features, more.features[:10])


def test_image_files_are_seen_too_and_broken_ones_left_out(
    small_scorer: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(random.integers(0, 256, (50, 40, 3), np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    scorer = load_scorer(small_scorer)
    files = sorted(tmp_path.glob("*.png"))
    seen = features_of_files(scorer, files)
    assert seen.inputs["files"] == [str(file) for file in files[:3]]
    assert seen.codes is None
    assert "left out 1 broken images" in caplog.text
    # what the last layer sees is what its scores are made of
    images = torch.rand(2, 3, 40, 40) * 2 - 1
    scores = (scorer.head(features_of(scorer)(images)) + scorer.offset) / scorer.temperature
    torch.testing.assert_close(scores, scorer(images))
    with pytest.raises(UserError, match="none of the 1 images can be read"):
        features_of_files(scorer, files[3:])


def test_of_a_callable_its_scores_are_the_features() -> None:
    def brightness(images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(features_of(brightness)(images), images.mean((2, 3)))
