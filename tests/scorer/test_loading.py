"""Scorers from checkpoints: the shipped one, new ones, and files that are none."""

import os
import tempfile
from pathlib import Path

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.base import parameter_digest
from ifgan_pl.scorer import backbones
from ifgan_pl.scorer.loading import load_scorer, save_heads
from ifgan_pl.scorer.module import FacialAttributeScorer
from tests.processes import ROOT
from tests.scorer.toys import make_data, make_model, make_trainer, save_model

SHIPPED = ROOT / "checkpoints" / "scorer-faces.ckpt"


def test_the_shipped_scorer_loads_by_lightning_alone():
    scorer = FacialAttributeScorer.load_from_checkpoint(SHIPPED, map_location="cpu", weights_only=True)
    # every shipped score carries it
    assert parameter_digest(scorer) == "012b11b529fe3f033ebe529c355414f4f93725b11ab81cc27cc439285a776192"
    assert scorer.attributes == ("eyeglasses", "smile", "male", "age", "yaw")


def test_the_shipped_scorer_of_seventeen_gives_the_five_bit_for_bit():
    path = SHIPPED.with_stem("scorer-faces-seventeen")
    five, seventeen = load_scorer(SHIPPED), load_scorer(path)
    assert seventeen.attributes[:5] == five.attributes
    assert {"beard", "hat", "earrings"} < set(seventeen.attributes)
    images = torch.rand(3, 3, 200, 200) * 2 - 1
    with torch.inference_mode():
        scores = seventeen(images)
        assert torch.equal(scores[:, :5], five(images))
    assert scores.shape == (3, 17)
    assert scores.isfinite().all()
    assert path.stat().st_size < 1e6


def test_heads_for_another_network_are_refused(tmp_path):
    wide = make_model(on_maps=1)
    save_model(make_model(), tmp_path / "trunk.ckpt")
    with torch.no_grad():
        next(wide.backbone.parameters()).add_(1)
    save_heads(wide, tmp_path / "heads.ckpt", str(tmp_path / "trunk.ckpt"))
    with pytest.raises(UserError, match=r"for another network than that of .*trunk\.ckpt: make them again"):
        load_scorer(tmp_path / "heads.ckpt")
    save_model(wide, tmp_path / "trunk.ckpt")
    assert load_scorer(tmp_path / "heads.ckpt").attributes == wide.attributes
    (tmp_path / "trunk.ckpt").unlink()
    with pytest.raises(UserError, match="no such file"):
        load_scorer(tmp_path / "heads.ckpt")


def test_loading_neither_downloads_nor_compiles(tmp_path, monkeypatch):
    """Checkpoints of before held what was of training only among their hyperparameters."""
    save_model(make_model(backbone="resnet18"), tmp_path / "new.ckpt")
    state = torch.load(tmp_path / "new.ckpt", weights_only=True)
    state["hyper_parameters"] |= {"weights": "IMAGENET1K_V1", "compile": True, "ema": 0.9, "patience": 3}
    torch.save(state, tmp_path / "old.ckpt")

    def never(*_, **__):
        raise AssertionError("training's alone")

    monkeypatch.setattr(backbones.TorchvisionBackbone, "load_pretrained", never)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", never)
    monkeypatch.setattr(torch.nn.Module, "compile", never)
    for name in ("new", "old"):
        path = tmp_path / f"{name}.ckpt"
        scorer = FacialAttributeScorer.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        assert "weights" not in scorer.hparams
        assert "compile" not in scorer.hparams


def test_a_trained_checkpoint_holds_no_paths_and_no_state_of_training(tmp_path):
    trainer = make_trainer(tmp_path, 1)
    model = make_model()
    trainer.fit(model, datamodule=make_data(tmp_path / "data"))
    trainer.save_checkpoint(tmp_path / "s.ckpt", weights_only=True)
    content = (tmp_path / "s.ckpt").read_bytes()
    assert str(tmp_path).encode() not in content
    assert not {"callbacks", "optimizer_states", "lr_schedulers"} & set(torch.load(tmp_path / "s.ckpt").keys())
    size = sum(value.nbytes for value in model.state_dict().values())
    assert len(content) < size + 50_000


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no such scorer"), (b"no", "not a scorer's checkpoint"), ("pickle", "not a scorer's")]
)
def test_bad_checkpoints_are_refused_without_running_code(tmp_path, text, message):
    path = tmp_path / "scorer.ckpt"
    if text == "pickle":
        torch.save({"state_dict": {}, "hyper_parameters": {"attributes": Evil()}}, path)
    elif text is not None:
        path.write_bytes(text)
    with pytest.raises(UserError, match=message):
        load_scorer(path)
    assert not Path(Evil.marker).exists()


class Evil:
    marker = os.path.join(tempfile.mkdtemp(), "it-ran")

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)
