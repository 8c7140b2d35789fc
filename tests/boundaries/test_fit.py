from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.boundaries.targets import threshold_of
from ifgan_pl.core.errors import UserError
from tests.processes import Job

NAMES = ["smile", "age"]
KINDS = ["binary", "continuous"]
Data = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def data() -> Data:
    """Anisotropic codes, true unit normals, and logit / years that depend on them linearly with noise."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(6000, 20, generator=generator) * torch.logspace(0, -1, 20) + 0.3
    normals = torch.nn.functional.normalize(torch.randn(2, 20, generator=generator), dim=1)
    distances = (codes - 0.3) @ normals.mT
    noise = torch.randn(6000, 2, generator=generator) * distances.std(0) * 0.5
    return codes, normals, (distances + noise) * torch.tensor([4.0, 30.0]) + torch.tensor([-0.5, 35.0])


@pytest.mark.parametrize("solver", ["ridge", "logistic", "squared_hinge"])
def test_all_samples_find_the_true_directions(data: Data, solver: str) -> None:
    codes, normals, scores = data
    boundary = fit_boundary(codes, scores, attributes=NAMES, kinds=KINDS, space="w", solver=solver, l2=1e-3)
    cosines = (boundary.normals * normals).sum(1)
    assert cosines.min() > 0.97
    torch.testing.assert_close(boundary.lambdas, torch.tensor([4.0, 30.0]), rtol=0.1, atol=0)
    torch.testing.assert_close(boundary.score_std, scores.std(0), rtol=1e-5, atol=0)
    torch.testing.assert_close(boundary.normals.norm(dim=1), torch.ones(2))
    for name in NAMES:
        figures = boundary.metrics["attributes"][name]
        assert (figures["train"], figures["validation"]) == (5400, 600)
        assert figures["r2"] == pytest.approx(0.8, abs=0.05)  # the share of the variance that is not noise
        assert 0.8 < figures["accuracy_median"] < 0.92
    predicted = boundary.predict_scores(codes).mean(0)
    torch.testing.assert_close(predicted, scores.mean(0), rtol=1e-4, atol=1e-4)


def test_the_plane_is_where_the_score_meets_the_threshold(data: Data) -> None:
    codes, _, scores = data
    boundary = fit_boundary(codes, scores, attributes=NAMES, kinds=KINDS, space="w", l2=1e-3)
    assert boundary.offsets[0].item() == pytest.approx(0.0, abs=0.15)
    assert boundary.offsets[1].item() == pytest.approx(scores[:, 1].median().item(), abs=1)


def test_extremes_are_the_papers_counts_and_need_more_samples(data: Data) -> None:
    codes, normals, scores = data
    options: dict[str, Any] = {"attributes": NAMES, "kinds": KINDS, "space": "w"}
    paper = fit_boundary(codes, scores, selection="extremes", solver="squared_hinge", **options)
    figures = paper.metrics["attributes"]["smile"]
    assert (figures["train"], figures["validation"], figures["remaining"]) == (168, 72, 6000 - 240)
    assert figures["accuracy_validation"] > 0.95
    whole = fit_boundary(codes, scores, l2=0.1, **options)
    assert ((whole.normals * normals).sum(1) > (paper.normals * normals).sum(1)).all()
    # λ is measured outside the fit, so it is right for the poorer direction too: cov(s, d) / var(d)
    distances = paper.distance(codes)
    covariance = ((scores - scores.mean(0)) * (distances - distances.mean(0))).mean(0)
    torch.testing.assert_close(paper.lambdas, (covariance / distances.var(0)).detach(), rtol=0.05, atol=0)


def test_a_fit_is_a_function_of_its_seed(data: Data) -> None:
    codes, _, scores = data
    fits = [
        fit_boundary(codes, scores, attributes=NAMES, space="w", selection="extremes", solver="logistic", seed=seed)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(fits[0].normals, fits[1].normals)
    assert not torch.equal(fits[0].normals, fits[2].normals)


def test_missing_scores_leave_the_other_attribute_as_it_is(data: Data) -> None:
    codes, normals, scores = data
    options: dict[str, Any] = {"attributes": NAMES, "kinds": KINDS, "space": "w", "l2": 1e-3}
    whole = fit_boundary(codes, scores, **options)
    holes = scores.clone()
    holes[::3, 0] = torch.nan
    fitted = fit_boundary(codes, holes, **options)
    torch.testing.assert_close(fitted.normals[1], whole.normals[1], atol=1e-6, rtol=0)
    assert fitted.metrics["attributes"]["smile"]["train"] == 3600
    assert (fitted.normals[0] * normals[0]).sum() > 0.97


@pytest.mark.parametrize("transform", ["logit", "probability", "label", "signs"])
def test_probabilities_are_calibrated_whatever_the_scale_of_the_scores(data: Data, transform: str) -> None:
    codes, _, scores = data
    logits = scores[:, :1]
    given = {
        "logit": logits,
        "probability": logits.sigmoid(),
        "label": (logits > 0).float(),
        "signs": torch.where(logits > 0, 1.0, -1.0),
    }[transform]
    boundary = fit_boundary(codes, given, attributes=["smile"], kinds=["binary"], space="w")
    probability = boundary.predict_proba(codes)[:, 0].detach()
    truth = logits[:, 0].sigmoid() if transform in ("logit", "probability") else (logits[:, 0] > 0).float()
    assert probability.mean().item() == pytest.approx(truth.mean().item(), abs=0.02)
    likely = probability > 0.8
    assert truth[likely].mean().item() == pytest.approx(probability[likely].mean().item(), abs=0.04)


def test_one_bad_attribute_does_not_take_the_other_down(data: Data) -> None:
    codes, _, scores = data
    bad = torch.stack([scores[:, 0], torch.full((6000,), 3.0)], 1)
    with pytest.warns(UserWarning, match="age: all 6000 scores are 3"):
        boundary = fit_boundary(codes, bad, attributes=NAMES, kinds=KINDS, space="w")
    assert boundary.attributes == ("smile",)
    assert boundary.metrics["failed"] == {"age": "all 6000 scores are 3; a boundary needs scores that differ"}


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (torch.randn(59, 1), {}, "60 codes but 59 scores"),
        (torch.randn(60, 2), {}, "2 columns of scores but 1 attributes: smile"),
        (torch.full((60, 1), torch.nan), {}, "smile: 0 of 60 samples have a finite score"),
        (torch.ones(60, 1), {}, "smile: all 60 scores are 1"),
        (torch.arange(60.0)[:, None] - 2.5, {"kinds": ["binary"]}, "smile: 57 of 60 scores lie above 0 and 3 below"),
        (torch.randn(60, 1), {"selection": "extremes"}, "smile: 2% of 60 samples are 1 a side"),
        (torch.randn(60, 1), {"selection": "some"}, "unknown selection 'some'; known: all, extremes"),
        (torch.randn(60, 1), {"solver": "svm"}, "unknown solver 'svm'; known: ridge"),
        (
            torch.randn(60, 1),
            {"metric": "euc"},
            "metric of covariance, sqrt, identity expected, got w, euc",
        ),
    ],
)
def test_mistakes_are_one_line(scores: torch.Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fit_boundary(torch.randn(60, 4), scores, attributes=["smile"], space="w", **options)
    assert "\n" not in str(caught.value)


def test_w_plus_codes_of_another_space_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(60, 2, 2\) are in W\+, not in W"):
        fit_boundary(torch.randn(60, 2, 2), torch.randn(60, 1), attributes=["smile"], space="w")


def test_codes_that_are_not_finite_are_counted() -> None:
    codes = torch.randn(60, 4)
    codes[3, 1] = torch.nan
    with pytest.raises(UserError, match="1 codes hold"):
        fit_boundary(codes, torch.randn(60, 1), attributes=["smile"], space="w")


def test_extremes_of_labels_must_not_overlap() -> None:
    scores = torch.zeros(2000, 1)
    scores[:20] = 1
    with pytest.raises(UserError, match="the 40 highest and the 40 lowest scores overlap"):
        fit_boundary(torch.randn(2000, 4), scores, attributes=["smile"], space="w", selection="extremes")


def test_thresholds() -> None:
    assert threshold_of(torch.tensor([0.0, 1.0, 1.0]), "binary") == 0.5
    assert threshold_of(torch.tensor([-1.0, 1.0, 1.0]), "binary") == 0.0
    assert threshold_of(torch.tensor([0.1, 0.2, 0.9]), "binary") == 0.5
    assert threshold_of(torch.tensor([-4.0, 0.2, 3.0]), "binary") == 0.0
    assert threshold_of(torch.tensor([10.0, 20.0, 90.0]), "continuous") == 20.0


def test_the_penalty_may_be_cross_validated_or_that_of_svc(data: Data) -> None:
    codes, normals, scores = data
    options: dict[str, Any] = {"attributes": NAMES, "kinds": KINDS, "space": "w"}
    found = fit_boundary(codes[:300], scores[:300], l2="cv", **options)
    worst = fit_boundary(codes[:300], scores[:300], l2=10.0, **options)
    assert ((found.normals * normals).sum(1) > (worst.normals * normals).sum(1)).all()
    assert all(1e-4 <= found.metrics["attributes"][n]["l2"] < 10 for n in NAMES)
    paper = fit_boundary(codes, scores, selection="extremes", solver="hinge", l2="svc", **options)
    scale = (codes.double().var(0, correction=0)).mean().item()
    assert paper.metrics["attributes"]["smile"]["l2"] == pytest.approx(1 / 168 / scale)


def test_refits_tell_how_much_is_noise(data: Data) -> None:
    codes, _, scores = data
    boundary = fit_boundary(codes, scores, attributes=NAMES, kinds=KINDS, space="w", refits=10)
    for name in NAMES:
        figures = boundary.metrics["attributes"][name]["bootstrap"]
        assert 0.8 < figures["cosine_low"] <= figures["cosine_high"] < 1
        assert figures["agreement"] == pytest.approx(1 - figures["noise"])
        assert all(value == float(f"{value:.9g}") for value in figures.values())  # no bits that depend on threads


def test_a_boundary_file_does_not_depend_on_how_many_threads_summed(tmp_path: Path) -> None:
    noise = torch.Generator().manual_seed(0)
    codes = torch.randn(5000, 64, generator=noise)
    scores = codes @ torch.randn(64, 5, generator=noise) + 8 * torch.randn(5000, 5, generator=noise)
    threads, files = torch.get_num_threads(), [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    try:
        for count, file in enumerate(files, 1):
            torch.set_num_threads(count)
            fit_boundary(codes, scores, attributes=[f"a{i}" for i in range(5)], space="w").save(file)
    finally:
        torch.set_num_threads(threads)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_codes_may_stay_in_a_file(data: Data, tmp_path: Path) -> None:
    codes, _, scores = data
    np.save(tmp_path / "w.npy", codes.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "w.npy", mmap_mode="c"))
    options: dict[str, Any] = {"attributes": NAMES, "kinds": KINDS, "space": "w", "solver": "logistic"}
    from_file = fit_boundary(mapped, scores, device="cpu", **options)
    torch.testing.assert_close(from_file.normals, fit_boundary(codes, scores, **options).normals, atol=1e-7, rtol=0)


def test_noise_is_called_noise() -> None:
    generator = torch.Generator().manual_seed(1)
    with pytest.warns(UserWarning, match="noise"):
        fit_boundary(
            torch.randn(100, 30, generator=generator),
            torch.randn(100, 1, generator=generator),
            attributes=["none"],
            space="z",
            l2=1e-3,
        )


RANK = """
import sys, torch
import torch.distributed as dist
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.core.distributed import ranks_of_group

torch.set_num_threads(1)
dist.init_process_group("gloo")
data = torch.load(sys.argv[1], weights_only=True)
cut = [0, 1500, 6000]
rows = slice(cut[dist.get_rank()], cut[dist.get_rank() + 1])
for name, options in data["jobs"].items():
    boundary = fit_boundary(data["codes"][rows], data["scores"][rows], attributes=["smile", "age"],
                            kinds=["binary", "continuous"], space="w", ranks=ranks_of_group(), **options)
    boundary.save(f"{sys.argv[2]}/{name}-{dist.get_rank()}.safetensors")
dist.destroy_process_group()
"""


def test_two_ranks_find_the_boundary_of_one(data: Data, tmp_path: Path) -> None:
    """Uneven shares under torchrun with gloo: every solver, both selections, cross-validation."""
    codes, _, scores = data
    scores = scores.clone()
    scores[::5, 1] = torch.nan
    jobs: dict[str, dict[str, Any]] = {
        "ridge": {"l2": "cv"},
        "logistic": {"solver": "logistic"},
        "squared": {"solver": "squared_hinge", "selection": "extremes"},
        "paper": {"solver": "hinge", "selection": "extremes", "l2": "svc"},
    }
    torch.save({"codes": codes, "scores": scores, "jobs": jobs}, tmp_path / "data.pt")
    (tmp_path / "rank.py").write_text(RANK)
    Job(str(tmp_path / "rank.py"), str(tmp_path / "data.pt"), str(tmp_path)).succeed()
    for name, options in jobs.items():
        one = fit_boundary(codes, scores, attributes=NAMES, kinds=KINDS, space="w", **options)
        first, second = [LinearBoundary.load(tmp_path / f"{name}-{rank}.safetensors") for rank in range(2)]
        assert torch.equal(first.normals, second.normals), name
        torch.testing.assert_close(first.normals, one.normals, atol=1e-5, rtol=0, msg=name)
        torch.testing.assert_close(first.lambdas, one.lambdas, atol=0, rtol=1e-4, msg=name)
        assert first.metrics["samples"] == 6000


def test_w_plus_codes_are_fitted_layer_after_layer(data: Data) -> None:
    codes, normals, scores = data
    ws = codes.reshape(-1, 4, 5)
    boundary = fit_boundary(ws, scores, attributes=NAMES, kinds=KINDS, space="w+", num_ws=4, l2=1e-3)
    assert ((boundary.normals * normals).sum(1) > 0.97).all()
    torch.testing.assert_close(boundary.distance(ws), boundary.distance(codes))
    boundary.check_codes(ws, space="w+")


def test_ridge_fits_probabilities_of_logits(data: Data) -> None:
    """What lies in the saturated tail of a logit does not turn the normal."""
    codes, normals, scores = data
    tail = 3 * scores[:, :1]
    sure = tail[:, 0] > 3
    tail[sure] += 60 * codes[sure, 5:6]  # the scorer's own whim where it is sure already
    options: dict[str, Any] = {"attributes": ["smile"], "space": "w", "l2": 1e-3}
    assert 0.01 < sure.float().mean() < 0.3
    logits = fit_boundary(codes, tail, kinds=["binary"], **options)
    as_they_are = fit_boundary(codes, tail, kinds=["continuous"], **options)
    cosines = [float((b.normals[0].detach() * normals[0]).sum()) for b in (logits, as_they_are)]
    assert cosines[0] > 0.95
    assert cosines[0] > cosines[1] + 0.02


def test_each_attribute_has_its_own_penalty() -> None:
    codes = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    scores = codes[:, :2] + torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    options: dict[str, Any] = {"attributes": ["male", "b"], "space": "w"}
    both = fit_boundary(codes, scores, l2={"b": 0.1, "gender": 5.0}, **options)
    for j, l2 in enumerate((5.0, 0.1)):
        alone = fit_boundary(codes, scores, l2=l2, **options)
        torch.testing.assert_close(both.normals[j], alone.normals[j])
    with pytest.raises(UserError, match="must name male, b"):
        fit_boundary(codes, scores, l2={"male": 1.0}, **options)
    with pytest.raises(UserError, match="positive"):
        fit_boundary(codes, scores, l2={"male": 1.0, "b": 0.0}, **options)


def test_side_effects_are_taken_back_and_nothing_else_changes(data: Data) -> None:
    codes, _, scores = data
    options: dict[str, Any] = {"attributes": NAMES, "kinds": KINDS, "space": "w", "l2": 1e-2}
    plain = fit_boundary(codes, scores, **options)
    found = fit_boundary(codes, scores, side_effects={"smile": {"age": 0.3}}, **options)
    assert found.provenance["fit"]["side_effects"] == {"smile": {"age": 0.3}}
    assert torch.equal(found.normals[0], plain.normals[0])
    torch.testing.assert_close(found.predict_scores(codes).mean(0), plain.predict_scores(codes).mean(0))

    def moved(boundary: LinearBoundary, name: str) -> torch.Tensor:
        """What an edit by one std moves, in std, by the planes before."""
        return plain.lambdas / plain.score_std * (plain.normals @ boundary.edit_shift({name: 1.0}, hold="all"))

    torch.testing.assert_close(moved(found, "age"), torch.tensor([0.0, 1.0]), rtol=0, atol=1e-5)
    torch.testing.assert_close(moved(found, "smile"), torch.tensor([1.0, -0.3]), rtol=0, atol=1e-5)


def test_side_effects_that_cannot_be_are_refused(data: Data) -> None:
    codes, _, scores = data
    options: dict[str, Any] = {"attributes": ["male", "age"], "kinds": KINDS, "space": "w"}
    for wrong, said in (
        ({"nose": {"age": 0.1}}, "nose"),
        ({"gender": {"male": 0.1}}, "other attributes"),
        ({"gender": {"age": 2.0}}, "numbers in"),
    ):
        with pytest.raises(UserError, match=said):
            fit_boundary(codes, scores, side_effects=wrong, **options)
    by_synonym = fit_boundary(codes, scores, side_effects={"gender": {"age": 0.1}}, **options)
    by_name = fit_boundary(codes, scores, side_effects={"male": {"age": 0.1}}, **options)
    assert torch.equal(by_synonym.normals, by_name.normals)
