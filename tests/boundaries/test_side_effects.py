"""Planes that counter what edits move besides their target: by the algebra of the linear model."""

import pytest
import torch

from ifgan_pl.boundaries.side_effects import counter, effects_of
from ifgan_pl.core.errors import UserError

NAMES = ["male", "age", "eyeglasses"]


def test_names_and_synonyms_become_a_matrix() -> None:
    effects = effects_of({"gender": {"age": 0.25}, "age": {"eyeglasses": -0.5}}, NAMES)
    assert effects.tolist() == [[0, 0.25, 0], [0, 0, -0.5], [0, 0, 0]]
    assert not effects_of({}, NAMES).any()


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"nose": {"age": 0.1}}, "unknown attribute 'nose'"),
        ({"age": {"nose": 0.1}}, "unknown attribute 'nose'"),
        ({"gender": {"male": 0.1}}, "side_effects of gender: other attributes"),
        ({"age": {"male": 1.0}}, r"numbers in \(-1, 1\), got male 1\.0"),
        ({"age": {"male": float("nan")}}, r"numbers in \(-1, 1\)"),
    ],
)
def test_what_cannot_be_is_refused(effects: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        effects_of(effects, NAMES)


def test_the_plane_that_counters_has_its_own_slope_and_a_share_of_the_other() -> None:
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(3, 6, generator=generator, dtype=torch.float64), dim=1)
    biases, mean = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (3, 6))
    strengths = torch.tensor([0.5, 1.5, 2.0], dtype=torch.float64)
    turned, moved, lengths = counter(normals, biases, strengths, mean, effects_of({"age": {"eyeglasses": 0.3}}, NAMES))
    assert torch.equal(turned[:2], normals[:2])
    assert torch.equal(moved[:2], biases[:2])
    assert torch.equal(lengths[:2], strengths[:2])
    slopes = strengths[:, None] * normals
    torch.testing.assert_close(lengths[2] * turned[2], slopes[2] + 0.3 * slopes[1])
    torch.testing.assert_close(turned[2].norm(), torch.ones((), dtype=torch.float64))

    def standardised(normals: torch.Tensor, biases: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Where the mean code stands, in standard deviations of each score."""
        return lengths * (normals @ mean + biases)

    # at the mean code the planes say what they said
    torch.testing.assert_close(standardised(turned, moved, lengths), standardised(normals, biases, strengths))
