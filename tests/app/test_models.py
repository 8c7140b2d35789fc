"""Edits as values: what the page shows is what the Editor makes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.app.models import KEPT, Edit, Face, Models, indices_text, with_metric
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import resource
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import parse_indices
from ifgan_pl.scorer.loading import find_scorer


@pytest.fixture(scope="module")
def mobile() -> Models:
    return Models.load("ffhq-mobile", None)


EDITS: dict[str, dict[str, Any]] = {
    "one": {"changes": {"smile": 1.5}},
    "held": {"changes": {"smile": 1.5, "age": -1.0}, "hold": ("male", "smile")},
    "latent": {"changes": {"yaw": 1.0}, "unit": "latent", "hold": ("age",)},
    "identity": {"changes": {"age": 2.0}, "metric": "identity", "hold": ("male",)},
    "covariance": {"changes": {"age": 2.0}, "metric": "covariance"},
    "layers": {"changes": {"smile": 2.0}, "layers": (2, 3, 4)},
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("wide", [False, True], ids=["w", "w+"])
def test_codes_are_those_of_the_editor(mobile: Models, name: str, wide: bool) -> None:
    options = EDITS[name]
    path = resource("checkpoints/ffhq-mobile-w.safetensors")
    editor = Editor(mobile.generator, LinearBoundary.load(path))
    codes = editor.codes([7])
    if wide:
        codes = codes[:, None].repeat(1, 16, 1) + torch.linspace(-0.1, 0.1, 16)[:, None]
    edit = Edit(Face(7, codes=codes if wide else None), **options)
    metric = None if edit.metric == "stored" else edit.metric
    expected = editor.shifted(codes, edit.moved, hold=edit.held, unit=edit.unit, metric=metric, layers=edit.layers)
    torch.testing.assert_close(mobile.edited(edit), expected, atol=2e-5, rtol=1e-4)


def test_a_moved_attribute_is_not_held(models: Models) -> None:
    edit = Edit(Face(0), changes={"smile": 1.0, "age": 0.0}, hold=("smile", "age"))
    assert edit.moved == {"smile": 1.0}
    assert edit.held == ("age",)


def test_predictions_move_by_what_is_asked_and_held_ones_do_not(mobile: Models) -> None:
    face = Edit(Face(3))
    edits = face, replace(face, changes={"age": 2.0}, hold=("smile", "male"))
    before, after = (mobile.predicted(edit, mobile.edited(edit)) for edit in edits)
    assert {"eyeglasses", "smile", "male", "age", "yaw", "beard"} < set(after) == set(before)
    assert after["age"] - before["age"] == pytest.approx(2, abs=0.01)
    assert [after[n] - before[n] for n in ("smile", "male")] == pytest.approx([0, 0], abs=0.01)


def test_images_come_with_scores_in_words(mobile: Models) -> None:
    mobile.scorer = find_scorer("scorer-faces")
    image = mobile.show(Edit(Face(0), changes={"smile": 2.0}))
    assert image.size == 128
    assert image.jpeg.startswith(b"\xff\xd8")
    assert set(image.scores) == {"eyeglasses", "smile", "male", "age", "yaw"} <= set(image.predicted)
    assert image.values["smile"].endswith("%")
    assert image.values["age"].endswith(" years")
    plain = mobile.show(Edit(Face(0)))
    assert image.scores["smile"] > plain.scores["smile"] + 0.5
    assert mobile.show(Edit(Face(0), changes={"smile": 2.0}, layers=(3,))).predicted == {}


def test_without_a_scorer_only_predictions_are_there(models: Models) -> None:
    image = models.show(Edit(Face(0), truncation=1.0), full=True)
    assert (image.size, image.scores, image.values) == (64, {}, {})
    assert set(image.predicted) == {"smile", "age", "hat"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"unit": "cm"}, "unknown unit 'cm'"),
        ({"metric": "taxi"}, "unknown metric 'taxi'"),
        ({"layers": (3, 20)}, "rows 0 to"),
    ],
)
def test_what_cannot_be_done_is_refused(models: Models, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        models.check(Edit(Face(0), changes={"smile": 1.0}, **wrong))


def test_directions_that_depend_on_each_other_are_refused(models: Models, tmp_path: Path) -> None:
    normals = models.boundary.normals.detach()[[0, 0]]
    twice = LinearBoundary(normals, attributes=["a", "b"], space="z")
    other = models.with_boundary(twice, tmp_path / "twice.safetensors")
    with pytest.raises(UserError, match="depend on each other"):
        other.check(Edit(Face(0), changes={"a": 1.0}, hold=("b",), unit="latent"))


def test_another_generator_s_boundary_is_asked_for() -> None:
    with pytest.raises(UserError, match="--boundary"):
        Models.load("digiface-dcgan", None)


def test_few_codes_are_kept(models: Models) -> None:
    for number in range(2 * KEPT):
        models.edited(Edit(Face(number), changes={"smile": 1.0}, truncation=1.0))
    assert len(models._memory) == KEPT


def test_the_square_root_is_taken_once() -> None:
    boundary = LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    boundary = boundary.replaced(gradients=None, spread=None, response=None)
    ready = with_metric(boundary, "sqrt")
    step = ready.edit_shift({"smile": 1.0}, hold="all")
    torch.testing.assert_close(step, boundary.edit_shift({"smile": 1.0}, hold="all", metric="sqrt"))
    assert boundary.metric == "sqrt"


@pytest.mark.parametrize("text", ["0-7", "3", "0,2-4,9", "0-1,15"])
def test_rows_are_written_as_they_are_read(text: str) -> None:
    assert indices_text(parse_indices(text)) == text


def test_generators_of_one_size_have_no_smaller_preview(models: Models) -> None:
    assert models.preview_side == 64
    assert load_generator("digiface-dcgan").img_resolution == 64
