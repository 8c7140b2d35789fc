"""The way from a code to an edited image, on the real generator and the shipped boundaries."""

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import resource
from ifgan_pl.editing.editor import Editor, parse_changes
from ifgan_pl.generators import load_generator


@pytest.fixture(scope="module")
def editor() -> Editor:
    boundary = LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    return Editor(load_generator("ffhq-mobile"), boundary)


def test_several_edits_move_exactly_what_they_ask(editor: Editor) -> None:
    codes = editor.codes(range(4))
    edited = editor.shifted(codes, {"smile": 2.0, "pose": -1.0}, hold=["age", "gender"], metric="sqrt")
    moved = editor.boundary.predict_scores(edited) - editor.boundary.predict_scores(codes)
    by_name = dict(zip(editor.attributes, (moved / editor.boundary.score_std).T, strict=True))
    for name, expected in {"smile": 2.0, "yaw": -1.0, "age": 0.0, "male": 0.0}.items():
        assert torch.allclose(by_name[name], torch.tensor(expected), atol=2e-3)


def test_mode_to_reaches_the_value(editor: Editor) -> None:
    codes = editor.shifted(editor.codes(range(3)), {"age": 1.5}, mode="to", metric="sqrt")
    scores = (editor.boundary.predict_scores(codes) - editor.boundary.score_mean) / editor.boundary.score_std
    assert torch.allclose(scores[:, editor.boundary.index("age")], torch.tensor(1.5), atol=2e-3)


def test_identity_and_latent_units_are_the_papers_edit(editor: Editor) -> None:
    codes = editor.codes(range(2))
    edited = editor.shifted(codes, {"smile": 3.0}, unit="latent", metric="identity")
    normal = editor.boundary.normals[editor.boundary.index("smile")]
    assert torch.allclose(edited, codes + 3 * normal, atol=1e-5)


def test_images_are_differentiable_in_the_strength(editor: Editor) -> None:
    strength = torch.tensor(1.0, requires_grad=True)
    editor.edit([0], smile=strength, resolution=128).mean().backward()
    assert strength.grad is not None
    assert strength.grad != 0


def test_layers_shift_only_their_rows(editor: Editor) -> None:
    codes = editor.codes([0])
    ws = editor.shifted(codes, {"smile": 1.0}, layers=range(4))
    assert ws.shape == (1, 16, 512)
    assert torch.equal(ws[0, 4:], codes.expand(12, -1))
    assert not torch.equal(ws[0, 0], codes[0])


def test_what_cannot_be_satisfied_is_refused(editor: Editor) -> None:
    codes = editor.codes([0])
    with pytest.raises(UserError, match="both edited and held"):
        editor.shifted(codes, {"gender": 1.0}, hold=["male"])
    with pytest.raises(UserError, match="unknown attribute"):
        editor.shifted(codes, {"freckles": 1.0})
    with pytest.raises(UserError, match="NaN"):
        editor.codes(latents=torch.full((1, 512), float("nan")))
    with pytest.raises(UserError, match="got \\(1, 100\\)"):
        editor.codes(latents=torch.zeros(1, 100))
    with pytest.raises(UserError, match="latent spaces"):
        Editor(load_generator("digiface-dcgan"), editor.boundary)


def test_changes_are_parsed() -> None:
    assert parse_changes(["smile=+2", "age=-1.5"]) == {"smile": 2.0, "age": -1.5}
    with pytest.raises(UserError, match="twice"):
        parse_changes(["male=1", "gender=2"])
    with pytest.raises(UserError, match="smile=\\+2"):
        parse_changes(["smile"])
