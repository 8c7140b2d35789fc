"""Faces whose attributes are known: linear in codes, and seen through features with noise."""

import torch
from torch import Tensor

from ifgan_pl.attributes.faces import Faces
from ifgan_pl.boundaries.boundary import LinearBoundary

DIM, FEATURES = 12, 16


def make_faces(count: int = 1500, *, noise: float = 0.3) -> tuple[Faces, Tensor, Tensor]:
    """Faces, whether each has an attribute (n,), and the unit direction (d,) of it."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(count, DIM, generator=generator)
    normal = torch.nn.functional.normalize(torch.randn(DIM, generator=generator), dim=0)
    mixing = torch.randn(DIM, FEATURES, generator=generator) / DIM**0.5
    features = codes @ mixing + 0.1 * torch.randn(count, FEATURES, generator=generator)
    has = (codes @ normal + noise * torch.randn(count, generator=generator)) > 0.5
    inputs = {"space": "w", "family": "toy", "num_ws": 4, "truncation": 0.7, "seed": 0}
    return Faces(features, codes, inputs), has, normal


def make_answers(has: Tensor, rows: range) -> dict[int, float]:
    return {i: float(has[i]) for i in rows}


def make_boundary() -> LinearBoundary:
    """Of two attributes in the space of those faces."""
    normals = torch.eye(DIM)[:2]
    ones = torch.ones(2)
    return LinearBoundary(
        normals,
        attributes=["smile", "age"],
        kinds=["binary", "continuous"],
        space="w",
        family="toy",
        num_ws=4,
        truncation=0.7,
        lambdas=ones.clone(),
        offsets=0 * ones,
        score_mean=0 * ones,
        score_std=ones,
        calibration=torch.ones(2, 2),
        code_mean=torch.zeros(DIM),
        covariance=torch.eye(DIM),
        metric="sqrt",
    )
