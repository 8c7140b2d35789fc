import pytest
import torch

from ifgan_pl.errors import UserError
from ifgan_pl.fit import fit_boundary, threshold_of

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
    torch.testing.assert_close(boundary.score_sd, scores.std(0), rtol=1e-5, atol=0)
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
    options = {"attributes": NAMES, "kinds": KINDS, "space": "w"}
    paper = fit_boundary(codes, scores, selection="extremes", solver="squared_hinge", **options)  # type: ignore[arg-type]
    figures = paper.metrics["attributes"]["smile"]
    assert (figures["train"], figures["validation"], figures["remaining"]) == (168, 72, 6000 - 240)
    assert figures["accuracy_validation"] > 0.95
    whole = fit_boundary(codes, scores, **options)  # type: ignore[arg-type]
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
    options = {"attributes": NAMES, "kinds": KINDS, "space": "w", "l2": 1e-3}
    whole = fit_boundary(codes, scores, **options)  # type: ignore[arg-type]
    holes = scores.clone()
    holes[::3, 0] = torch.nan
    fitted = fit_boundary(codes, holes, **options)  # type: ignore[arg-type]
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


@pytest.mark.filterwarnings("ignore::UserWarning")
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
        (torch.randn(60, 1), {"validation": 1.0}, r"share in \[0, 1\), got 1.0"),
    ],
)
def test_mistakes_are_one_line(scores: torch.Tensor, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        fit_boundary(torch.randn(60, 4), scores, attributes=["smile"], space="w", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_codes_that_are_not_finite_are_counted() -> None:
    codes = torch.randn(60, 4)
    codes[3, 1] = torch.nan
    with pytest.raises(UserError, match="1 of 60 codes"):
        fit_boundary(codes, torch.randn(60, 1), attributes=["smile"], space="w")


def test_extremes_of_labels_must_not_overlap() -> None:
    scores = torch.zeros(2000, 1)
    scores[:20] = 1
    with (
        pytest.warns(UserWarning, match="smile"),
        pytest.raises(UserError, match="the 40 highest and the 40 lowest scores overlap"),
    ):
        fit_boundary(torch.randn(2000, 4), scores, attributes=["smile"], space="w", selection="extremes")


def test_thresholds() -> None:
    assert threshold_of(torch.tensor([0.0, 1.0, 1.0]), "binary") == 0.5
    assert threshold_of(torch.tensor([-1.0, 1.0, 1.0]), "binary") == 0.0
    assert threshold_of(torch.tensor([0.1, 0.2, 0.9]), "binary") == 0.5
    assert threshold_of(torch.tensor([-4.0, 0.2, 3.0]), "binary") == 0.0
    assert threshold_of(torch.tensor([10.0, 20.0, 90.0]), "continuous") == 20.0
