"""Codes by gradient: towards a face that the generator itself has made."""

import pytest
import torch
from torch import Tensor

from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.photos.refinement import Prior, Steps, prior_of, refine, tune
from ifgan_pl.photos.tuning import tuned


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator("ffhq-mobile")


@pytest.fixture(scope="module")
def prior(generator: Generator) -> Prior:
    return prior_of(generator)


def test_the_prior_is_that_of_the_mapping(generator: Generator, prior: Prior) -> None:
    w = sample_codes(generator, range(5000, 7000), truncation=1.0)
    whitened = torch.linalg.solve(prior.root.double(), (w - prior.mean).double().mT)
    assert 0.5 < float(whitened.square().mean()) < 2
    assert torch.allclose(prior.root, prior.root.mT, atol=1e-5)


def test_a_generated_face_is_approached_from_the_mean(generator: Generator, prior: Prior) -> None:
    target = sample_codes(generator, [3], truncation=0.7)
    with torch.no_grad():
        photo = generator.synthesis(target)
    start = prior.mean.expand(1, 16, -1)
    found = refine(generator, prior, load_sface(), start, photo, Steps(12, 8, 1))

    def seen(codes: Tensor, by: Generator) -> tuple[float, float]:
        with torch.no_grad():
            image = by.synthesis(codes)
            return float((image - photo).square().mean()), float((load_sface()(image) * load_sface()(photo)).sum())

    before, after = seen(start, generator), seen(found, generator)
    assert after[0] < 0.4 * before[0]
    assert after[1] > before[1] + 0.3
    changes = tune(generator, load_sface(), found, photo, Steps(weights=6, weights_full=1))
    nearer = seen(found, tuned(generator, changes))
    assert nearer[0] < 0.9 * after[0]
    assert nearer[1] > after[1] - 0.02
