"""What edits move as the scorer sees it, and the response of a boundary with gradients."""

from typing import Any

import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.filters import steps_for
from ifgan_pl.boundaries.gradients import score_gradients, with_gradients
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.report.response import movements, response, untangled


def halves(images: torch.Tensor) -> torch.Tensor:
    """A scorer: the mean of the upper and of the lower half."""
    return torch.stack([images[:, :, :32].mean((1, 2, 3)), images[:, :, 32:].mean((1, 2, 3))], 1)


def test_the_response_makes_whole_steps_move_what_is_asked(dcgan: Generator) -> None:
    codes = sample_codes(dcgan, range(48), space="z", truncation=1.0)
    with torch.no_grad():
        std = torch.cat([halves(dcgan.synthesis(code[None])) for code in codes]).std(0)
    names = ["upper", "lower", "unseen"]
    plain = LinearBoundary(
        torch.eye(100)[:3],
        attributes=names,
        core=names[:2],
        space="z",
        lambdas=torch.ones(3),
        score_std=torch.cat([std, torch.ones(1)]),
    )
    found, probes = score_gradients(dcgan, halves, codes[:16], columns=[0, 1], space="z")
    answering = with_gradients(plain, found, probes, names=names[:2])
    columns = {"upper": 0, "lower": 1}
    options: dict[str, Any] = {"columns": columns, "truncation": 1.0, "resolution": None}
    before = response(Editor(dcgan, answering), halves, codes[16:], **options)
    assert before[2].tolist() == [0, 0, 1]
    countered = Editor(dcgan, answering.replaced(response=before))
    after = movements(countered, halves, codes[16:], hold="all", **options)
    off = (after - torch.eye(2)).abs().max()
    assert off < 0.15
    assert off < (before[:2, :2] - torch.eye(2)).abs().max()


def test_movements_of_corrected_edits_give_the_response_whatever_was_taken_back() -> None:
    """In a world where edits move exactly what their steps say, of a core of three and two attributes besides."""
    core, names = 3, ["a", "b", "c", "x", "y"]
    truth = torch.eye(5) + 0.5 * torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    guess = truth + 0.2 * torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    boundary = LinearBoundary(torch.eye(8)[:5], attributes=names, core=names[:core], space="z", response=guess)
    moved = torch.empty(5, 5)
    for t in range(5):
        chosen = [t, *(i for i in range(core) if i != t)]
        steps = steps_for(boundary, torch.tensor([1.0] + [0.0] * (len(chosen) - 1)), chosen)
        moved[t] = steps @ truth[chosen]
    torch.testing.assert_close(untangled(boundary, moved), truth)
    torch.testing.assert_close(untangled(boundary.replaced(response=None), truth), truth)
    assert (guess @ moved - truth).abs().max() > 0.5
