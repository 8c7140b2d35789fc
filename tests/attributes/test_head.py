"""Heads from a few answers: what they score, and what they say of themselves."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from ifgan_pl.attributes.head import Design, auroc, fit_head, stratified_folds
from ifgan_pl.core.errors import UserError
from tests.attributes.toys import make_answers, make_faces


def test_a_head_scores_faces_that_it_has_not_seen() -> None:
    faces, has, _ = make_faces()
    head = fit_head(faces, make_answers(has, range(150)))
    unseen = auroc(head.scores(faces)[150:], has[150:])
    assert unseen > 0.95
    quality = head.quality
    assert quality.low <= quality.value <= quality.high
    assert quality.low - 0.03 < unseen < quality.high + 0.03
    assert (quality.measure, quality.answers, quality.positives) == ("AUROC", 150, int(has[:150].sum()))
    assert not quality.noise
    # calibrated: of faces with a probability near p about p have it
    probability = head.scores(faces)[150:].sigmoid()
    assert float(probability.mean()) == pytest.approx(float(has[150:].double().mean()), abs=0.05)
    # resamples disagree, around the head
    again = head.resampled_scores(faces)
    assert again.shape == (1500, 20)
    assert auroc(again.mean(1)[150:], has[150:]) > 0.94
    assert float(again.std(1).min()) > 0


def test_more_answers_are_better_and_their_interval_narrower() -> None:
    faces, has, _ = make_faces(noise=0.6)
    few, many = (fit_head(faces, make_answers(has, range(n))) for n in (60, 900))
    assert auroc(many.scores(faces)[900:], has[900:]) > auroc(few.scores(faces)[900:], has[900:])
    assert many.quality.high - many.quality.low < few.quality.high - few.quality.low
    assert many.quality.enough
    assert not few.quality.enough


def test_numbers_make_a_score_of_numbers() -> None:
    faces, _, normal = make_faces()
    assert faces.codes is not None
    values = 20 + 5 * (faces.codes @ normal)
    head = fit_head(faces, {i: float(values[i]) for i in range(100)})
    assert head.kind == "continuous"
    assert head.quality.measure == "r"
    torch.testing.assert_close(head.scores(faces), values, atol=2, rtol=0)


def test_codes_help_where_features_are_blind_and_faces_without_codes_are_seen_too() -> None:
    faces, has, _ = make_faces()
    blind = type(faces)(torch.randn(1500, 3, generator=torch.Generator().manual_seed(1)), faces.codes, faces.inputs)
    head = fit_head(blind, make_answers(has, range(200)))
    assert head.share > 0
    assert auroc(head.scores(blind)[200:], has[200:]) > 0.95
    photographs = type(faces)(faces.features[:200], None, {"files": []})
    by_eye = fit_head(photographs, make_answers(has, range(200)), design=Design(faces))
    assert auroc(by_eye.scores(faces)[200:], has[200:]) > 0.93


def test_a_coin_is_told_from_an_attribute() -> None:
    faces, _, _ = make_faces()
    for seed in range(3):
        coin = torch.rand(200, generator=torch.Generator().manual_seed(seed)) < 0.5
        assert fit_head(faces, make_answers(coin, range(200))).quality.noise


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({1: 1.0, 2: 0.0, 3: 1.0}, "3 answers about beard: a head needs 20 at least, 50 to 300 make a good one"),
        (dict.fromkeys(range(50), 1.0), "50 of 50 answers about beard are yes and 0 no: at least 5 of either"),
        (dict.fromkeys(range(50), 7.0), "all 50 answers about beard are 7: answers must differ"),
    ],
)
def test_too_little_is_one_line(answers: dict[int, float], message: str) -> None:
    faces, _, _ = make_faces(100)
    with pytest.raises(UserError, match=message):
        fit_head(faces, answers, name="beard")


def test_auroc_is_scikit_learn_s() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(200, generator=generator).mul(3).round()  # with ties
    positive = scores + torch.randn(200, generator=generator) > 0
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive.numpy(), scores.numpy()))


def test_folds_share_the_sides() -> None:
    values = (torch.arange(53) < 10).double()
    fold = stratified_folds(values, 5, seed=3)
    assert sorted(fold.bincount().tolist()) == [10, 10, 11, 11, 11]
    assert fold[values == 1].bincount().tolist() == [2] * 5
