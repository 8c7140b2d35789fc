"""Networks by name: two of our own, torchvision's, and their pretrained weights."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import models
from torchvision.models import _api

from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.backbones import build_backbone
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.training import new_scorer
from tests.scorer.toys import KINDS, save_model


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "shufflenet_v2_x0_5", "vit_b_32"])
def test_torchvision_backbones_by_name(name):
    backbone, features = build_backbone(name)
    size = 224 if name.startswith("vit") else 64
    with torch.no_grad():
        assert backbone.eval()(torch.zeros(2, 3, size, size)).shape == (2, features)


@pytest.mark.parametrize(("name", "side"), [("small8", 8), ("fine4", 4)])
def test_own_backbones_by_name_and_width(name, side):
    backbone, features = build_backbone(name)
    assert backbone.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, features) == (2, 64)
    assert isinstance(backbone, torch.nn.Sequential)
    assert backbone[0].out_channels == side


def test_unknown_backbones_are_refused():
    for name in ("resnet51", "smallish"):
        with pytest.raises(UserError, match="unknown backbone"):
            build_backbone(name)
    with pytest.raises(UserError, match="does not end in a linear layer"):
        build_backbone("squeezenet1_1")


def test_pretrained_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = models.resnet18()
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *_, **__: source.state_dict())
    model = new_scorer(KINDS, backbone="resnet18", weights="IMAGENET1K_V1", image_size=32)
    network: Any = model.backbone.network
    assert torch.equal(network.conv1.weight, source.conv1.weight)
    assert torch.equal(network.layer4[1].bn2.running_mean, source.layer4[1].bn2.running_mean)
    model.head.weight.data.fill_(0.5)
    save_model(model, tmp_path / "s.ckpt")

    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(_api, "load_state_dict_from_url", offline)
    assert torch.equal(load_scorer(tmp_path / "s.ckpt").head.weight, model.head.weight)  # nothing is fetched again
    with pytest.raises(UserError, match=r"cannot get the weights IMAGENET1K_V1 of resnet18 \(.*leave weights out"):
        new_scorer(KINDS, backbone="resnet18", weights="IMAGENET1K_V1", image_size=32)
    with pytest.raises(UserError, match="unknown weights 'LARGE' of resnet18"):
        new_scorer(KINDS, backbone="resnet18", weights="LARGE", image_size=32)
    with pytest.raises(UserError, match="backbone 'small' has no pretrained weights"):
        new_scorer(KINDS, weights="DEFAULT")
