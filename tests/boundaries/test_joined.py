"""Attributes added to a boundary."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.joined import joined
from ifgan_pl.core.errors import UserError


def make(names: list[str], first: int, **options: Any) -> LinearBoundary:
    count = len(names)
    values = torch.arange(count, dtype=torch.float32) + first
    settings: dict[str, Any] = {"space": "w", "family": "toy", "num_ws": 4, **options}
    return LinearBoundary(
        torch.eye(6)[first : first + count],
        values,
        attributes=names,
        lambdas=values + 1,
        score_std=values + 1,
        score_mean=values,
        covariance=torch.eye(6) * (1 + first),
        metrics={"attributes": {name: {"r2": 0.5} for name in names}, "samples": 10},
        **settings,
    )


def test_both_have_their_place_and_all_means_what_it_meant(tmp_path: Path) -> None:
    both = joined(make(["a", "b"], 0), make(["c"], 3), provenance={"added": ["c"]})
    assert both.attributes == ("a", "b", "c")
    assert both.biases.tolist() == [0, 1, 3]
    assert both.covariance is not None
    torch.testing.assert_close(both.covariance, torch.eye(6))
    assert set(both.metrics["attributes"]) == {"a", "b", "c"}
    both.save(tmp_path / "b.safetensors")
    again = LinearBoundary.load(tmp_path / "b.safetensors")
    assert again.core == ("a", "b")
    assert again.held("all", ["a"]) == ["b"]
    assert again.held("every", ["a"]) == ["b", "c"]
    assert again.held(["all", "c"], ["a"]) == ["b", "c"]
    assert again.held("all", ["c"]) == ["a", "b"]


def test_a_name_that_both_have_is_the_second_s() -> None:
    both = joined(make(["a", "b"], 0), make(["b", "c"], 3))
    assert both.attributes == ("a", "b", "c")
    assert both.biases.tolist() == [0, 3, 4]
    assert both.core == ("a", "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "other"}, "belongs to other, the codes to toy"),
        ({"space": "z"}, "is in Z, the codes are in W"),
        ({"space": "w+", "layers": [0]}, r"is in W\+"),
    ],
)
def test_other_spaces_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        joined(make(["a"], 0), make(["c"], 3, **options))
