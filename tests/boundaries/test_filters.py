"""What edits read changes from: gradients where all attributes concerned have one, else normals."""

import pytest
import torch

from ifgan_pl.boundaries.filters import predicted_changes, steps_for
from ifgan_pl.boundaries.gradients import with_gradients
from ifgan_pl.core.errors import UserError
from tests.boundaries.toys import made


def test_edits_follow_gradients_where_all_concerned_have_one() -> None:
    draws = torch.Generator().manual_seed(2)
    found, probes = (torch.randn(n, 4, 3, generator=draws, dtype=torch.float64) for n in (2, 5))
    both = with_gradients(made(), found, probes, names=["smile", "age"])
    shift = both.edit_shift({"smile": 1.5}, hold="all").double()
    moved = found.flatten(1) @ shift / both.score_std.double()
    torch.testing.assert_close(moved, torch.tensor([1.5, 0.0], dtype=torch.float64), rtol=1e-4, atol=1e-5)
    latent = both.edit_shift({"smile": 1.5}, hold="all", unit="latent")
    torch.testing.assert_close(latent, shift.float() * 2 / 4)
    assert both.edit_shift({"smile": 1.5}, hold="all", metric="sqrt").shape == (3,)
    one = with_gradients(made(), found[:1], probes, names=["smile"])
    assert one.edit_shift({"smile": 1.0}).shape == (12,)
    assert torch.equal(
        one.edit_shift({"smile": 1.0}, hold="all"), made(metric="sqrt").edit_shift({"smile": 1.0}, hold="all")
    )
    with pytest.raises(UserError, match="no gradient of age, which metric image needs"):
        one.edit_shift({"smile": 1.0}, hold="all", metric="image")


def test_what_a_whole_step_was_seen_to_move_is_taken_back() -> None:
    draws = torch.Generator().manual_seed(3)
    found, probes = (torch.randn(n, 4, 3, generator=draws, dtype=torch.float64) for n in (2, 5))
    plain = with_gradients(made(), found, probes, names=["smile", "age"])
    response = torch.tensor([[0.8, 0.2], [0.0, 1.1]])
    shift = plain.replaced(response=response).edit_shift({"smile": 1.0}, hold="all").double()
    asked = found.flatten(1) @ shift / plain.score_std.double()
    torch.testing.assert_close(asked @ response.double(), torch.tensor([1.0, 0.0]).double(), rtol=1e-4, atol=1e-5)


def test_what_attributes_outside_the_core_move_of_each_other_is_not_taken_back() -> None:
    draws = torch.Generator().manual_seed(3)
    found, probes = (torch.randn(n, 4, 3, generator=draws, dtype=torch.float64) for n in (2, 5))
    response = torch.tensor([[0.8, 0.2], [0.3, 1.1]])
    taught = with_gradients(made(core=["smile"]), found, probes, names=["smile", "age"]).replaced(response=response)
    changes = torch.tensor([1.0, 0.5])
    assert steps_for(taught, changes, [0, 1]).tolist() == pytest.approx([(1 - 0.3 * 0.5 / 1.1) / 0.8, 0.5 / 1.1])
    predicted = predicted_changes(taught, changes[:1], [0])
    assert predicted == pytest.approx({"smile": 1.0, "age": 0.2 / 0.8})
    assert predicted_changes(taught, changes, [0, 1]) == pytest.approx({"smile": 1.0, "age": 0.5})
