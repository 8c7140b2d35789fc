"""Metrics against scikit-learn, with missing labels and padding."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from ifgan_pl.scorer.metrics import AttributeMetrics, attribute_metrics, metrics_table

KINDS = {"smile": "binary", "age": "continuous"}


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(301, generator=generator) < 0.4).float()
    probability = torch.sigmoid(2 * label - 1 + torch.randn(301, generator=generator))
    age = 40 + 10 * torch.randn(301, generator=generator)
    guess = age + 5 * torch.randn(301, generator=generator)
    target = torch.stack([label, age], 1)
    target[::7, 0] = torch.nan
    target[::5, 1] = torch.nan
    return torch.stack([probability, guess], 1), target


def test_against_scikit_learn(samples):
    units, target = samples
    result = attribute_metrics(units, target, KINDS)
    known = ~target.isnan().numpy()
    p, y = units[known[:, 0], 0].double().numpy(), target[known[:, 0], 0].numpy()
    expected = {
        "accuracy": sk.accuracy_score(y, p >= 0.5),
        "auroc": sk.roc_auc_score(y, p),
        "ap": sk.average_precision_score(y, p),
        "f1": sk.f1_score(y, p >= 0.5),
    }
    for name, value in expected.items():
        assert float(result[f"{name}/smile"]) == pytest.approx(value, abs=1e-6), name
    x, t = units[known[:, 1], 1].double().numpy(), target[known[:, 1], 1].double().numpy()
    assert float(result["mae/age"]) == pytest.approx(sk.mean_absolute_error(t, x), abs=1e-9)
    assert float(result["r/age"]) == pytest.approx(np.corrcoef(x, t)[0, 1], abs=1e-9)


def test_calibration_error_of_a_known_case():
    # 100 samples at .85, of which 60 are positive: |.6 - .85|
    units = torch.full((100, 1), 0.85)
    target = (torch.arange(100) < 60).float()[:, None]
    result = attribute_metrics(units, target, {"smile": "binary"})
    assert float(result["ece/smile"]) == pytest.approx(0.25, abs=1e-6)


def test_batches_and_padding_change_nothing(samples):
    units, target = samples
    metric = AttributeMetrics(KINDS)
    for start in range(0, 301, 50):
        metric.update(units[start : start + 50], target[start : start + 50])
    metric.update(units[:3], torch.full((3, 2), torch.nan))
    whole = attribute_metrics(units, target, KINDS)
    for name, value in metric.compute().items():
        assert float(value) == pytest.approx(float(whole[name]), abs=1e-12)
    metric.reset()
    assert all(value.isnan() for value in metric.compute().values())


def test_undefined_is_nan_not_an_error():
    result = attribute_metrics(torch.tensor([[0.3, 1.0]]), torch.tensor([[1.0, 2.0]]), KINDS)
    assert float(result["accuracy/smile"]) == 0
    assert result["auroc/smile"].isnan()
    assert result["r/age"].isnan()
    with pytest.raises(ValueError, match="twice expected"):
        AttributeMetrics(KINDS).update(torch.zeros(3, 2), torch.zeros(3, 1))


def test_table_has_a_row_an_attribute():
    text = metrics_table({"accuracy/smile": 0.98765, "r/age": 0.9}, KINDS)
    assert "| smile | 0.988 | nan |" in text
    assert "| age | nan | 0.900 |" in text
