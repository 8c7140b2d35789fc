"""The page and its figures, on a run of 200 faces."""

import json
from pathlib import Path

import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.report.build import correlation
from ifgan_pl.scores.store import ScoreStore

HEADINGS = [
    "The scorer",
    "Boundaries",
    "How much of a direction is noise?",
    "Are the semantics entangled?",
    "Edited faces, scored again",
    "What the edits look like",
    "Distribution of the scores",
]
NAMES = ["eyeglasses", "smile", "male", "age", "yaw"]


def test_the_page_tells_of_scorer_boundaries_and_edits(small_run: tuple[Path, list[str]]) -> None:
    page = (small_run[0] / "report" / "index.html").read_text()
    places = [page.index(f"<h2>{heading}</h2>") for heading in HEADINGS]
    assert places == sorted(places)
    assert page.count("<h2>") == len(HEADINGS)
    assert "<td>smile</td><td>0.987</td><td>0.991</td><td>–</td><td>–</td>" in page  # the scorer's own metrics
    assert page.count("<img ") == 3 + 1 + len(NAMES)  # heat maps, histograms, strips
    assert "along the gradients of the scores and scored again" in page
    assert "http" not in page


def test_the_numbers_are_those_of_the_run(small_run: tuple[Path, list[str]]) -> None:
    folder, _ = small_run
    report = json.loads((folder / "report" / "report.json").read_text())
    boundary = LinearBoundary.load(folder / "boundary.safetensors")
    _, scores = ScoreStore.open(folder / "scores").load()
    assert (report["samples"], report["attributes"], report["rescoring"]["faces"]) == (200, NAMES, 2)
    assert report["scorer"]["mae/age"] == 3.25
    assert report["metrics"] == boundary.metrics["attributes"]
    for name, expected in {
        "cosines": boundary.normals @ boundary.normals.T,
        "covariance_predicted": boundary.semantic_covariance(),
        "covariance_measured": torch.cov(scores.T),
    }.items():
        torch.testing.assert_close(torch.tensor(report[name]), expected.detach(), rtol=1e-4, atol=1e-5)
    held = torch.tensor(report["rescoring"]["hold_all"]["movement"])
    assert held.shape == (5, 5)
    assert held.isfinite().all()


def test_correlation_is_covariance_in_standard_deviations() -> None:
    covariance = torch.tensor([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    assert correlation(covariance)[:2, :2].tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert not correlation(covariance)[2].any()
