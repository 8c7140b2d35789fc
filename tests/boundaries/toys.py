"""A boundary small enough to calculate by hand."""

from typing import Any

import torch

from ifgan_pl.boundaries.boundary import LinearBoundary


def made(**options: Any) -> LinearBoundary:
    """Smile and age in W of three dimensions and four rows, of different scales."""
    return LinearBoundary(
        torch.eye(3)[:2],
        attributes=["smile", "age"],
        space="w",
        num_ws=4,
        lambdas=torch.tensor([2.0, 1.0]),
        score_std=torch.tensor([4.0, 0.5]),
        covariance=torch.eye(3),
        **options,
    )
