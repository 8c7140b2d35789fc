"""Requests that go against how attributes vary together."""

import math

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.strain import check_strain, strain
from ifgan_pl.core.errors import UserError


def make(cosine: float) -> LinearBoundary:
    normals = torch.tensor([[1.0, 0, 0], [cosine, math.sqrt(1 - cosine**2), 0], [0, 0, 1]])
    ones = torch.ones(3)
    return LinearBoundary(
        normals, attributes=["blond", "black", "hat"], space="z", lambdas=ones, score_std=ones, score_mean=ones
    )


def test_strain_is_how_much_longer_the_step_is() -> None:
    boundary = make(-0.9)
    assert strain(boundary, {"blond": 1}) == (1.0, "")
    assert strain(boundary, {"blond": 1}, hold=["hat"])[0] == pytest.approx(1)
    found, because = strain(boundary, {"blond": 2}, hold="all")
    longer = boundary.edit_shift({"blond": 2}, hold="all").norm() / boundary.edit_shift({"blond": 2}).norm()
    assert found == pytest.approx(float(longer), rel=1e-5)
    assert because == "black"
    # opposites moved as opposites go with the faces, both upwards against them
    assert strain(boundary, {"blond": 1, "black": -1})[0] < 1
    assert strain(boundary, {"blond": 1, "black": 1})[0] > 3


def test_what_makes_no_sense_is_warned_of_or_refused_with_the_reason() -> None:
    assert check_strain(make(-0.5), {"blond": 2}, hold="all") == ""
    note = check_strain(make(-0.95), {"blond": 2}, hold="all")
    assert "blond=+2 goes against how faces vary: its step is 3.2 times as long" in note
    assert "mostly because of black" in note
    with pytest.raises(UserError, match="no face looks like that: drop black, or hold less"):
        check_strain(make(-0.995), {"blond": 2}, hold="all")
