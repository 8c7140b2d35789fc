"""From answers to attributes of a boundary."""

import pytest
import torch

from ifgan_pl import attributes_from_labels
from ifgan_pl.attributes.faces import Faces
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from tests.attributes.toys import make_answers, make_boundary, make_faces


def test_a_new_attribute_edits_and_holds_with_the_others() -> None:
    faces, has, normal = make_faces()
    before = make_boundary()
    after, learned = attributes_from_labels(before, faces, {"beard": make_answers(has, range(150))})
    assert after.attributes == ("smile", "age", "beard")
    assert after.core == ("smile", "age")
    assert float(after.normals[2] @ normal) > 0.95
    torch.testing.assert_close(after.normals[:2], before.normals)
    step = after.edit_shift({"beard": 2.0}, hold="all")
    moved = after.lambdas * (after.normals @ step) / after.score_std
    torch.testing.assert_close(moved.detach(), torch.tensor([0.0, 0.0, 2.0]), atol=1e-4, rtol=0)
    assert after.held("every", ["smile"]) == ["age", "beard"]
    what = learned["beard"]
    assert 0.5 < what.linearity <= 1
    assert 0.8 < what.cosine < 1
    assert "AUROC" in str(what)
    assert after.metrics["attributes"]["beard"]["answers"]["answers"] == 150


def test_the_cosine_that_it_expects_is_the_one_between_two_sets_of_answers() -> None:
    faces, has, _ = make_faces(3000, noise=0.6)
    expected, normals = [], []
    for start in range(0, 1200, 150):
        after, learned = attributes_from_labels(
            make_boundary(), faces, {"beard": make_answers(has, range(start, start + 150))}
        )
        expected.append(learned["beard"].cosine)
        normals.append(after.normals[2].detach())
    directions = torch.stack(normals)
    between = (directions @ directions.mT)[~torch.eye(len(directions), dtype=torch.bool)].mean()
    assert float(between) == pytest.approx(sum(expected) / len(expected), abs=0.08)


def test_answers_may_be_about_other_faces() -> None:
    faces, has, normal = make_faces()
    photographs = Faces(faces.features[:200], None, {"files": []})
    after, _ = attributes_from_labels(
        make_boundary(), faces, {"beard": make_answers(has, range(200))}, labelled=photographs
    )
    assert float(after.normals[2] @ normal) > 0.9


def test_what_cannot_be_added_is_one_line(tmp_path: object) -> None:
    faces, has, _ = make_faces()
    good = make_answers(has, range(150))
    boundary, _ = attributes_from_labels(make_boundary(), faces, {"beard": good})
    with pytest.raises(UserError, match=r"has beard already: choose another --name, or give --replace"):
        attributes_from_labels(boundary, faces, {"beard": good})
    again, _ = attributes_from_labels(boundary, faces, {"beard": good}, replace=True)
    assert again.attributes == boundary.attributes
    coin = torch.rand(200, generator=torch.Generator().manual_seed(0)) < 0.5
    with pytest.raises(UserError, match=r"luck: AUROC 0\.\d+ .* cannot be told from a coin's, so nothing is added"):
        attributes_from_labels(make_boundary(), faces, {"luck": make_answers(coin, range(200))})
    other = LinearBoundary(torch.eye(12)[:1], attributes=["smile"], space="w", family="other")
    with pytest.raises(UserError, match="the boundary belongs to other, the codes to toy"):
        attributes_from_labels(other, faces, {"beard": good})
    with pytest.raises(UserError, match="image files have no codes"):
        attributes_from_labels(boundary, Faces(faces.features, None, {}), {"hat": good})
