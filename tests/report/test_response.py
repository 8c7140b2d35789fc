"""What edits move as the scorer sees it, and the response of a boundary with gradients."""

from typing import Any

import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.gradients import score_gradients, with_gradients
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.report.response import movements, response


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
