"""A scorer that learns from heads: what it keeps, what it gains, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.attributes.distil import View, map_rows_of_samples, with_heads
from ifgan_pl.attributes.faces import Faces, features_of_samples
from ifgan_pl.attributes.head import auroc, fit_head
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.loading import load_scorer, save_heads

NUM = 400
WHERE: dict[str, Any] = {"seed": 0, "truncation": 1.0, "space": "z"}


@pytest.fixture
def seen(
    dcgan: Generator, small_scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Faces, torch.Tensor, torch.Tensor]:
    """Faces, what heads on maps see of them, and whether the image of each is bright."""
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path / "cache"))
    scorer = load_scorer(small_scorer)
    faces = features_of_samples(dcgan, scorer, NUM, truncation=1, progress=lambda done: None)
    with torch.no_grad():
        images = synthesise(dcgan, sample_codes(dcgan, range(NUM), space="z", truncation=1), space="z")
    light = images.mean((1, 2, 3))
    return faces, map_rows_of_samples(dcgan, scorer, range(NUM), **WHERE), light > light.median()


def test_a_scorer_learns_what_labels_mean_and_keeps_its_own_scores(
    seen: tuple[Faces, torch.Tensor, torch.Tensor], dcgan: Generator, small_scorer: Path, tmp_path: Path
) -> None:
    faces, rows, bright = seen
    scorer = load_scorer(small_scorer)
    answers = {"bright": {i: float(bright[i]) for i in range(150)}}
    heads = {"bright": fit_head(faces, answers["bright"])}
    whole, qualities = with_heads(scorer, heads, faces, rows, answers)
    assert whole.attributes == (*scorer.attributes, "bright")
    with torch.no_grad():
        images = synthesise(dcgan, sample_codes(dcgan, range(NUM), space="z", truncation=1), space="z")
        own, scores = scorer(images), whole(images)
    assert torch.equal(own, scores[:, :-1])
    found = auroc(scores[150:, -1], bright[150:])
    assert found > 0.9
    assert qualities["bright"].low - 0.05 < found
    assert abs(float(scores[150:, -1].sigmoid().mean()) - 0.5) < 0.1  # calibrated
    mirrored = whole(images.flip(-1))[:, -1].detach()
    assert torch.corrcoef(torch.stack([scores[:, -1], mirrored]))[0, 1] > 0.9
    save_heads(whole, tmp_path / "heads.ckpt", str(small_scorer))
    assert torch.equal(load_scorer(tmp_path / "heads.ckpt")(images), whole(images))
    with pytest.raises(UserError, match="leave smile out"):
        with_heads(scorer, {"smile": heads["bright"]}, faces, rows, {"smile": answers["bright"]})


def test_rows_are_kept_and_depend_on_nothing_but_the_face(
    seen: tuple[Faces, torch.Tensor, torch.Tensor],
    dcgan: Generator,
    small_scorer: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, rows, _ = seen
    scorer = load_scorer(small_scorer)
    few = map_rows_of_samples(dcgan, scorer, [3, 300], **WHERE)
    assert torch.allclose(few.float(), rows[[3, 300]].float(), atol=1e-2)
    monkeypatch.setattr("ifgan_pl.attributes.distil.synthesise", None)  # no image is made again
    assert torch.equal(map_rows_of_samples(dcgan, scorer, [3, 300], **WHERE), few)


def test_components_keep_what_differs_and_do_not_touch_the_random_state() -> None:
    rows = torch.randn(50, 3) @ torch.randn(3, 20) + 5
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    view = View.of(rows, components=3)
    assert torch.equal(torch.rand(1), expected)
    whitened = ((rows - view.mean) / view.scale).double()
    assert torch.allclose(view(rows) @ view.basis.double().mT, whitened, atol=1e-4)
