"""``train.py gradients``: added to a boundary file, once, and what it refuses."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.stages.gradients import gradients, on_its_scale


@pytest.fixture
def plain(small_run: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A boundary in Z of digiface-dcgan without gradients."""
    path = tmp_path / "boundary.safetensors"
    LinearBoundary.load(small_run[0] / "boundary.safetensors").replaced(
        gradients=None, spread=None, response=None
    ).save(path)
    return path


def test_gradients_are_added_once_and_leave_the_rest_as_it_was(
    plain: Path, small_scorer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = LinearBoundary.load(plain)
    shutil.copy(plain, plain.with_name("other.safetensors"))
    command = ["gradients", "--generator", "digiface-dcgan", "--scorer", str(small_scorer), "--faces", "4"]
    command += ["--trainer.accelerator", "cpu"]
    cli.train([*command, "--boundary", str(plain)])
    after = LinearBoundary.load(plain)
    assert after.gradients is not None
    assert after.gradients.shape == (len(before.attributes), 1, 100)
    assert torch.equal(after.normals, before.normals)
    assert not torch.equal(after.edit_shift({after.attributes[0]: 1.0}), before.edit_shift({after.attributes[0]: 1.0}))
    assert plain.with_suffix(".gradients.config.yaml").is_file()
    assert not plain.with_suffix(".config.yaml").exists()
    capsys.readouterr()
    written = plain.read_bytes()
    cli.train([*command, "--boundary", str(plain)])
    assert "gradients: up to date" in capsys.readouterr().out
    cli.train([*command, "--boundary", str(plain.with_name("other.safetensors"))])
    assert plain.with_name("other.safetensors").read_bytes() == plain.read_bytes() == written
    cli.train([*command, "--boundary", str(plain), "--faces", "0"])
    again = LinearBoundary.load(plain)
    assert again.gradients is None
    assert torch.equal(again.edit_shift({after.attributes[0]: 1.0}), before.edit_shift({after.attributes[0]: 1.0}))


def test_side_effects_that_others_saw_are_countered(plain: Path, small_scorer: Path, tmp_path: Path) -> None:
    made_with: Any = {"boundary": str(plain), "generator": "digiface-dcgan", "scorer": str(small_scorer), "faces": 4}
    first, second = LinearBoundary.load(plain).attributes[:2]
    one, two = (str(tmp_path / f"{n}.safetensors") for n in "ab")
    gradients(**made_with, out=one)
    gradients(**made_with, out=two, side_effects={first: {second: 0.25}})
    responses = [LinearBoundary.load(path).response for path in (one, two)]
    assert responses[0] is not None
    assert responses[1] is not None
    added = (responses[1] - responses[0]).numpy()
    assert added[0, 1] == pytest.approx(0.25)
    assert abs(added).sum() == pytest.approx(0.25)


def test_scores_of_added_attributes_are_brought_to_the_boundary_s_scale(
    plain: Path, small_scorer: Path, dcgan: Generator
) -> None:
    whole, scorer = LinearBoundary.load(plain), load_scorer(small_scorer)
    columns = {name: i for i, name in enumerate(whole.attributes)}
    codes = sample_codes(dcgan, range(16), space="z", truncation=1.0)
    options: Any = {"truncation": 1.0, "resolution": None}
    assert on_its_scale(whole, dcgan, scorer, codes, columns, **options) is scorer
    taught = whole.replaced(core=whole.attributes[:-1], score_std=whole.score_std * 3)
    scaled = on_its_scale(taught, dcgan, scorer, codes, columns, **options)
    with torch.no_grad():
        images = synthesise(dcgan, codes, space="z")
        before, after = scorer(images), scaled(images)
    assert torch.equal(after[:, :-1], before[:, :-1])
    assert float(after[:, -1].std()) == pytest.approx(float(taught.score_std[-1]), rel=1e-4)


def test_what_cannot_be_measured_is_refused(plain: Path, small_scorer: Path) -> None:
    with pytest.raises(UserError, match="--faces must be at least 0"):
        gradients(boundary=str(plain), generator="digiface-dcgan", scorer=str(small_scorer), faces=-1)
    with pytest.raises(UserError, match=r"unknown attribute.*beard"):  # before minutes of work
        gradients(boundary=str(plain), scorer=str(small_scorer), side_effects={"age": {"beard": 0.1}})
    renamed = LinearBoundary.load(plain)
    names = [f"own{i}" for i in range(len(renamed.attributes))]
    renamed.replaced(attributes=names, core=names).save(plain)
    with pytest.raises(UserError, match="none of which the boundary has"):
        gradients(boundary=str(plain), generator="digiface-dcgan", scorer=str(small_scorer), faces=1)
