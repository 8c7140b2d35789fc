"""Platt's calibration."""

import pytest
import torch

from tests.scorer.toys import make_model


def test_calibration_makes_overconfident_and_shifted_scores_honest():
    model = make_model()
    generator = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(4000, 3, generator=generator)
    target = torch.full((4000, 3), torch.nan)
    target[:, 0] = torch.bernoulli(torch.sigmoid(true[:, 0]), generator=generator)
    model.calibrate(3 * true - 1, target)
    for _ in range(2):
        assert float(model.temperature[0]) == pytest.approx(3, rel=0.1)
        assert float(model.offset[0]) == pytest.approx(1, abs=0.3)
        assert model.temperature[1:].tolist() == [1, 1]
        assert model.offset[1:].tolist() == [0, 0]
        model.calibrate((3 * true - 1 + model.offset) / model.temperature, target)


def test_calibration_leaves_scores_alone_that_say_nothing():
    model = make_model()
    target = torch.full((8, 3), torch.nan)
    target[:, 0] = torch.arange(8) < 4
    model.calibrate(torch.linspace(-3, 3, 8)[:, None].expand(8, 3), target)
    assert model.temperature.tolist() == [1, 1, 1]
    assert model.offset.tolist() == [0, 0, 0]


def test_calibration_survives_scores_that_separate_the_labels():
    model = make_model()
    target = torch.full((8, 3), torch.nan)
    target[:, 0] = torch.arange(8) >= 4
    scores = torch.linspace(-3, 3, 8)[:, None].expand(8, 3)
    model.calibrate(scores, target)
    # by maximum likelihood on the labels themselves it would fall to zero
    assert 0.3 < float(model.temperature[0]) < 3
