"""Faces by what was seen in them, and by their codes."""

from typing import Any

import numpy as np
import pytest
import torch

from ifgan_pl.app.explore import NEIGHBOURHOOD, PAGE, Catalogue
from ifgan_pl.app.models import Models
from ifgan_pl.app.session import Session
from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.loading import find_scorer


@pytest.fixture(scope="module")
def mobile() -> Models:
    made = Models.load("ffhq-mobile", None)
    made.scorer = find_scorer("scorer-faces")
    return made


@pytest.fixture(scope="module")
def catalogue(mobile: Models) -> Catalogue:
    return Catalogue(mobile, "ffhq-mobile-scores")


def test_smiling_men_over_60_with_glasses(catalogue: Catalogue) -> None:
    wanted = {"smile": True, "gender": True, "age": [60, 1e9], "eyeglasses": True}
    count, numbers = catalogue.search(wanted)
    assert count > PAGE
    assert len(set(numbers)) == PAGE
    for name, low in (("smile", 0.5), ("male", 0.5), ("age", 60), ("eyeglasses", 0.5)):
        assert (catalogue.units[name][numbers] >= low).all()
    seen = catalogue.models.show(catalogue.sample(numbers[0]))  # the stored scores are those of these faces
    assert abs(float(seen.values["age"].split()[0]) - catalogue.units["age"][numbers[0]]) < 2


def test_pages_show_each_face_once(catalogue: Catalogue) -> None:
    wanted = {"age": [66, 1e9], "smile": True}
    count, first = catalogue.search(wanted)
    pages = [catalogue.search(wanted, page)[1] for page in range(-(-count // PAGE))]
    assert sorted(number for page in pages for number in page) == sorted(
        np.flatnonzero((catalogue.units["age"] >= 66) & (catalogue.units["smile"] > 0.5))
    )
    assert catalogue.search(wanted, len(pages))[1] == first


def test_nothing_found_is_an_empty_page(catalogue: Catalogue) -> None:
    assert catalogue.search({"age": [200, 300]}) == (0, [])


@pytest.mark.parametrize(
    ("wanted", "says"),
    [({"beard": True}, "not scored for 'beard'"), ({"age": "old"}, "two numbers"), ({"age": [1, None]}, "two numbers")],
)
def test_what_cannot_be_asked(catalogue: Catalogue, wanted: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        catalogue.search(wanted)


def test_filters_have_ends_in_years(catalogue: Catalogue) -> None:
    found = {entry["name"]: entry for entry in catalogue.filters()}
    assert found["smile"] == {"name": "smile", "kind": "binary"}
    assert 0 <= found["age"]["low"] < 12
    assert 65 < found["age"]["high"] < 100


def test_without_scores_faces_come_by_chance(models: Models) -> None:
    count, numbers = Catalogue(models, None).search({})
    assert count == 100_000
    assert len(numbers) == PAGE
    with pytest.raises(UserError, match="nothing"):
        Catalogue(models, None).search({"smile": True})


def test_another_generator_s_scores_are_refused(models: Models) -> None:
    models.scorer = find_scorer("scorer-faces")
    with pytest.raises(UserError, match="another generator"):
        Catalogue(models, "ffhq-mobile-scores")


def test_small_images_are_kept(session: Session, models: Models) -> None:
    catalogue = Catalogue(models, None)
    images = session.compute("thumbnails", lambda job: catalogue.thumbnails([3, 4], job)).future.result(60)
    assert list(images) == [3, 4]
    again = session.compute("thumbnails", lambda job: catalogue.thumbnails([4], job)).future.result(60)
    assert again[4] is images[4]


def test_a_strip_has_the_face_in_its_middle(session: Session, models: Models) -> None:
    catalogue = Catalogue(models, None)
    images = session.compute("strip", lambda job: catalogue.strip(3, "smile", ["smile", "age"], job)).future.result(60)
    assert len(set(images)) == 7
    plain = session.compute("thumbnails", lambda job: catalogue.thumbnails([3], job)).future.result(60)
    assert images[3] == plain[3]
    with pytest.raises(UserError, match="unknown attribute"):
        session.compute("strip", lambda job: catalogue.strip(3, "beard", [], job)).future.result(60)


def test_neighbours_are_nearest_first(session: Session, models: Models) -> None:
    catalogue = Catalogue(models, None)
    code = models.code(catalogue.sample(8))
    job = session.compute("neighbours", lambda job: catalogue.neighbours(code, job, but=8))
    numbers = job.future.result(60)
    assert len(numbers) == PAGE
    assert 8 not in numbers
    codes = torch.cat([models.code(catalogue.sample(number)) for number in numbers])
    distances = (codes - code).norm(dim=1)
    assert (distances.diff() > -1e-2).all()
    others = torch.cat([models.code(catalogue.sample(number)) for number in range(100, 200)])
    assert distances.max() < (others - code).norm(dim=1).min() + 1e-2
    assert job.total == NEIGHBOURHOOD
    own = session.compute("neighbours", lambda job: catalogue.neighbours(code, job)).future.result(60)
    assert own[0] == 8
