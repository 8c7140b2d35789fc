"""Re-scoring on a linear fake, where algebra says what every score must do."""

from typing import Any

import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators.sampling import sample_z
from ifgan_pl.report.rescoring import Rescoring, precision, rescore
from tests.report.fakes import ColourScorer, LinearGenerator

WEIGHTS = torch.tensor([[2.0, 0.0, 0.0], [3.0, 4.0, 0.0], [0.0, 1.0, 0.5]])
"""Of three attributes, the rows; the first two share the first colour, the last two the second."""
COVARIANCE = torch.tensor([[1.0, 0.3, 0.0], [0.3, 2.0, 0.0], [0.0, 0.0, 0.5]])


def exact_boundary() -> LinearBoundary:
    """The hyperplanes of ``WEIGHTS`` themselves; the scores' standard deviations are those under ``COVARIANCE``."""
    lambdas = WEIGHTS.norm(dim=1)
    return LinearBoundary(
        WEIGHTS / lambdas[:, None],
        attributes=["smile", "age", "male"],
        space="w",
        family="linear",
        num_ws=2,
        lambdas=lambdas,
        offsets=torch.zeros(3),
        score_mean=torch.zeros(3),
        score_std=(WEIGHTS @ COVARIANCE @ WEIGHTS.T).diagonal().sqrt(),
        code_mean=torch.zeros(3),
        covariance=COVARIANCE,
        metric="covariance",
    )


def rescored(scorer: ColourScorer, *, space: str = "w", **options: Any) -> Rescoring:
    codes = sample_z(range(5), 3)
    codes = codes if space == "w" else codes[:, None].expand(-1, 2, -1)
    arguments: dict[str, Any] = {"columns": [0, 1, 2], "truncation": 1.0, "resolution": 2} | options
    return rescore(Editor(LinearGenerator(), exact_boundary()), scorer, codes, **arguments)


def test_held_edits_move_their_target_alone_and_single_ones_by_the_covariance() -> None:
    found = rescored(ColourScorer(WEIGHTS))
    torch.testing.assert_close(found.held, torch.eye(3), rtol=0, atol=1e-5)
    scores = WEIGHTS @ COVARIANCE @ WEIGHTS.T
    std = scores.diagonal().sqrt()  # in the metric of the data a single edit takes the others along as they correlate
    torch.testing.assert_close(found.single, scores / std[:, None] / std, rtol=0, atol=1e-5)
    assert (found.attributes, found.strength, found.faces) == (("smile", "age", "male"), 1.0, 5)


def test_a_scorer_that_sees_more_than_the_boundary_shows_it() -> None:
    """Another scorer takes a tenth of the first attribute for the third: held edits of the first move the third."""
    other = WEIGHTS.clone()
    other[2] += 0.1 * WEIGHTS[0]
    std = exact_boundary().score_std
    expected = torch.eye(3)
    expected[0, 2] = 0.1 * std[0] / std[2]
    torch.testing.assert_close(rescored(ColourScorer(other)).held, expected, rtol=0, atol=1e-5)


def test_what_bends_alike_on_both_sides_cancels() -> None:
    """Half the difference of both ends: of ``(x + d)² - (x - d)²`` only ``4 x d`` is left, whose mean is counted."""
    bend = 0.05
    found = rescored(ColourScorer(WEIGHTS, bend))
    boundary = exact_boundary()
    x = sample_z(range(5), 3)[:, 0].mean()
    for i, name in enumerate(boundary.attributes):
        step = boundary.edit_shift({name: 1.0}, hold="all")[0]
        extra = found.held[i] - torch.eye(3)[i]
        torch.testing.assert_close(extra, 2 * bend * x * step / boundary.score_std, rtol=0, atol=1e-5)


def test_strength_is_in_standard_deviations() -> None:
    found = rescored(ColourScorer(WEIGHTS), strength=2.5)
    torch.testing.assert_close(found.held, 2.5 * torch.eye(3), rtol=0, atol=1e-5)
    assert found.strength == 2.5


def test_columns_are_the_scorers_and_images_have_the_side_asked_for() -> None:
    turned = ColourScorer(torch.cat([WEIGHTS[[2]], torch.ones(1, 3), WEIGHTS[[0, 1]]]))
    found = rescored(turned, columns=[2, 3, 0], resolution=None)
    torch.testing.assert_close(found.held, torch.eye(3), rtol=0, atol=1e-5)
    assert turned.sides == {4}


def test_layered_codes_are_edited_in_every_row() -> None:
    torch.testing.assert_close(rescored(ColourScorer(WEIGHTS), space="w+").held, torch.eye(3), rtol=0, atol=1e-5)


def test_progress_counts_every_edit_of_every_face() -> None:
    done: list[int] = []
    rescored(ColourScorer(WEIGHTS), progress=done.append)
    assert done == [5] * 12  # three attributes, both ends, single and held


def test_precision_is_the_target_per_mean_of_the_others() -> None:
    movement = torch.tensor([[1.0, 0.1, -0.3], [0.0, 2.0, 0.0], [0.5, 0.5, -1.0]])
    assert precision(movement).tolist()[::2] == [5.0, -2.0]
    assert precision(movement)[1] > 1e6 - 1  # nothing else moved
    assert precision(torch.tensor([[1.0]])) > 1e5  # there is nothing else
    figures = Rescoring(("a", "b", "c"), 1.0, 4, single=movement, held=torch.eye(3)).as_dict()
    assert (figures["faces"], figures["strength"]) == (4, 1.0)
    assert figures["single"]["precision"][0] == 5.0
    assert figures["hold_all"]["movement"] == torch.eye(3).tolist()
