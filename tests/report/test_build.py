import torch

from ifgan_pl.report.build import correlation


def test_correlation_is_covariance_in_standard_deviations() -> None:
    covariance = torch.tensor([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    assert correlation(covariance)[:2, :2].tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert not correlation(covariance)[2].any()
