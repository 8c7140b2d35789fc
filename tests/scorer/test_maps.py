"""Heads on maps: what they see, and that the scores beside them stay as they are."""

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.backbones import build_backbone
from ifgan_pl.scorer.maps import map_width, seen_with_maps
from tests.scorer.toys import KINDS, make_model


def test_features_are_the_network_s_own_and_maps_say_where() -> None:
    backbone, features = build_backbone("small8")
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        seen, rows = seen_with_maps(backbone.eval(), images)
        assert torch.equal(seen, backbone(images))
    # 4² of 32 channels and 2² of 64, of which a mirror leaves half
    assert rows.shape == (3, features + 32 * 4 * 2 + 64 * 2 * 1) == (3, map_width(backbone, 64))
    assert torch.equal(rows[:, :features], seen)
    halves = rows[:, -64 * 2 :].view(3, 64, 2)
    assert torch.allclose(halves.mean(2), seen, atol=1e-6)  # the last map's mean over rows


def test_a_network_of_another_make_has_no_such_maps() -> None:
    with pytest.raises(UserError, match="small or fine"):
        map_width(build_backbone("resnet18")[0], 64)


def test_a_scorer_with_attributes_on_maps_trains_them_and_leaves_the_others() -> None:
    plain, wide = make_model(), make_model(on_maps=1)
    assert plain.map_head is None
    assert wide.map_head is not None
    assert (wide.head.out_features, wide.map_head.out_features) == (len(KINDS) - 1, 1)
    wide.backbone.load_state_dict(plain.backbone.state_dict())
    with torch.no_grad():
        wide.head.weight.copy_(plain.head.weight[:-1])
    images = torch.rand(2, 3, 40, 40) * 2 - 1
    assert torch.equal(plain.eval()(images)[:, :-1], wide.eval()(images)[:, :-1])
    wide(images)[:, -1].sum().backward()
    assert wide.map_head.weight.grad is not None
