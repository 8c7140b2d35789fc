"""The scorer: scores, units, labels under augmentation, training, resumption, calibration, distribution."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.celeba import COORDINATES
from ifgan_pl.data.table import TableData
from ifgan_pl.scorer.augment import augment
from ifgan_pl.scorer.backbones import build_backbone
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scorer.training import fit_scorer

KINDS = {"light": "binary", "level": "continuous", "yaw": "continuous"}
ROOT = Path(__file__).parents[2]


def write_data(folder: Path, count: int = 61) -> tuple[Path, Path]:
    """Images that say what they are: grey level, and which half is brighter (yaw)."""
    folder.mkdir(exist_ok=True)
    lines = ["file,split,light,level,yaw"]
    generator = torch.Generator().manual_seed(0)
    for i in range(count):
        level = 40 + float(torch.rand(1, generator=generator)) * 150
        yaw = float(torch.rand(1, generator=generator)) * 2 - 1
        row = torch.linspace(-30 * yaw, 30 * yaw, 32) + level
        noise = 5 * torch.randn(32, 32, generator=generator)
        image = (row.expand(32, 32) + noise).clamp(0, 255).byte()
        Image.fromarray(image.numpy()).convert("RGB").save(folder / f"{i:03d}.png")
        light = "" if i % 9 == 0 else str(int(level > 115))
        lines.append(f"{i:03d}.png,{'val' if i % 4 == 1 else 'train'},{light},{level:.2f},{yaw:.3f}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder, folder / "labels.csv"


def make_data(folder: Path, **changes) -> TableData:
    """What :func:`write_data` writes, written once: ranks that start together read the same files."""
    if not (folder / "labels.csv").exists():
        write_data(folder)
    options: dict[str, Any] = {"image_size": 32, "batch_size": 8, "cache_dir": folder / "cache"} | changes
    return TableData(folder, folder / "labels.csv", **options)


def make_model(**changes) -> FacialAttributeScorer:
    torch.manual_seed(0)
    options: dict[str, Any] = {"backbone": "small8", "image_size": 32, "augmentation": 0.3, "lr": 5e-3, "ema": 0.8}
    return FacialAttributeScorer(KINDS, **(options | changes))


def make_trainer(folder: Path, epochs: int, **changes) -> pl.Trainer:
    options: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    options |= {"enable_model_summary": False, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
    return pl.Trainer(max_epochs=epochs, default_root_dir=folder, **(options | changes))


# ---------------------------------------------------------------------- scores


@pytest.mark.parametrize("shape", [(64, 64), (16, 16), (40, 72), (33, 33)])
def test_any_size_is_scored(shape):
    scores = make_model().eval()(torch.rand(2, 3, *shape) * 2 - 1)
    assert scores.shape == (2, 3)
    assert scores.dtype == torch.float32


def test_full_images_are_averaged_down():
    model = make_model().eval()
    small = torch.rand(2, 3, 32, 32) * 2 - 1
    large = small.repeat_interleave(8, 2).repeat_interleave(8, 3)
    torch.testing.assert_close(model(large), model(small), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\) expected, got \(3, 32, 32\)"):
        model(small[0].expand(3, 32, 32))


def test_units_and_scores_are_inverse():
    model = make_model()
    model.mean.copy_(torch.tensor([0.0, 100.0, 0.0]))
    model.sd.copy_(torch.tensor([1.0, 30.0, 0.5]))
    scores = torch.tensor([[0.0, 1.0, -2.0]])
    units = model.to_units(scores)
    assert units.tolist() == [[0.5, 130.0, -1.0]]
    torch.testing.assert_close(model.to_scores(units), scores)
    predicted = model.predict(torch.zeros(2, 3, 32, 32))
    assert list(predicted) == list(KINDS)
    assert predicted["light"].shape == (2,)
    assert 0 < predicted["light"][0] < 1


def test_predict_files_names_what_it_scored(tmp_path, caplog):
    folder, _ = write_data(tmp_path / "data", 5)
    (folder / "002.png").write_bytes(b"no")
    paths = sorted(folder.glob("*.png"))
    model = make_model().eval()
    result = model.predict_files(paths, batch_size=2)
    assert [Path(name).name for name in result["file"]] == ["000.png", "001.png", "003.png", "004.png"]
    assert "left out 1 broken images" in caplog.text
    image = torch.from_numpy(np.array(Image.open(paths[3]))).permute(2, 0, 1)[None] / 127.5 - 1
    torch.testing.assert_close(result["level"][2:3], model.predict(image)["level"], atol=1e-4, rtol=1e-4)
    assert model.predict_files([])["level"].shape == (0,)


# -------------------------------------------------------------------- backbones


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
    with pytest.raises(UserError, match="no pretrained weights"):
        build_backbone("small", "DEFAULT")
    with pytest.raises(UserError, match="does not end in a linear layer"):
        build_backbone("squeezenet1_1")


# ------------------------------------------------------------------------- loss


def test_missing_labels_have_no_gradient():
    model = make_model()
    scores = torch.randn(4, 3, requires_grad=True)
    target = torch.tensor([[1.0, 0.5, torch.nan], [torch.nan] * 3, [0.0, torch.nan, 1.0], [1.0, 2.0, 3.0]])
    loss = model.loss(scores, target)
    loss.backward()
    assert scores.grad is not None
    assert torch.equal(scores.grad == 0, target.isnan())
    assert model.loss(scores, torch.full((4, 3), torch.nan)) == 0
    model.loss(torch.randn(1, 3, requires_grad=True), target[1:2]).backward()


def test_balance_weighs_classes_and_calibration_undoes_it():
    model = make_model(balance=1.0)
    share = 0.1
    model.positives.fill_(share)
    labels = torch.zeros(1000, 3).fill_(torch.nan)
    labels[:, 0] = (torch.arange(1000) < 1000 * share).float()
    constant = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([constant], max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = model.loss(constant.expand(1000, 3), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(float(constant.detach())) < 1e-3  # both classes weigh the same
    model.offset[0] = torch.logit(torch.tensor(share))
    assert float(torch.sigmoid(constant.detach() + model.offset[0])) == pytest.approx(share, abs=1e-3)


def test_labels_follow_the_augmentation():
    kinds = dict.fromkeys([*COORDINATES, "yaw"], "continuous")
    model = FacialAttributeScorer(kinds, backbone="small8", image_size=64)
    points = torch.tensor([[-0.4, -0.2], [0.35, -0.25], [0.0, 0.1], [-0.3, 0.4], [0.25, 0.45]])
    image = torch.full((200, 3, 64, 64), -1.0)
    target = torch.cat([points.flatten(), torch.tensor([1.5])]).expand(200, -1)
    _, theta = augment(image, torch.arange(200), seed=0, epoch=0)
    moved = model.moved(target, theta)
    mirrored = torch.linalg.det(theta[:, :, :2]) < 0
    assert torch.equal(moved[:, -1] < 0, mirrored)
    xy = moved[:, :10].reshape(-1, 5, 2)
    # left stays left in the image, and every point is the image of its source
    assert (xy[:, 0, 0] < xy[:, 1, 0]).all()
    assert (xy[:, 3, 0] < xy[:, 4, 0]).all()
    source = torch.einsum("nij,npj->npi", theta[:, :, :2], xy) + theta[:, None, :, 2]
    expected = torch.where(mirrored[:, None, None], points[[1, 0, 2, 4, 3]], points)
    torch.testing.assert_close(source, expected, atol=1e-5, rtol=0)


# --------------------------------------------------------------------- training


def test_fit_learns_calibrates_and_saves(tmp_path):
    data, model = make_data(tmp_path / "data"), make_model(label_smoothing=0.05, balance=0.5)
    metrics = fit_scorer(model, data, make_trainer(tmp_path, 25), out=tmp_path / "scorer.ckpt")
    assert metrics["accuracy/light"] > 0.85
    assert metrics["r/level"] > 0.9
    assert metrics["r/yaw"] > 0.7
    assert json.loads((tmp_path / "scorer.json").read_text()) == metrics
    loaded = load_scorer(tmp_path / "scorer.ckpt")
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(loaded(images), model.eval()(images))
    assert loaded.attributes == tuple(KINDS)
    assert loaded.kinds == ("binary", "continuous", "continuous")
    assert torch.equal(loaded.mean, model.mean)
    assert 80 < float(loaded.mean[1]) < 150
    torch.load(tmp_path / "scorer.ckpt", weights_only=True)


def test_a_run_killed_and_resumed_ends_with_the_same_weights(tmp_path):
    class Killed(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.current_epoch == 2 and batch_idx == 1:
                raise KeyboardInterrupt

    whole = make_model()
    make_trainer(tmp_path / "whole", 4).fit(whole, datamodule=make_data(tmp_path / "data"))
    torch.manual_seed(123)  # the state of the global generator must not matter
    first = make_model()
    with pytest.raises(SystemExit):
        make_trainer(tmp_path / "part", 4, callbacks=[Killed()]).fit(first, datamodule=make_data(tmp_path / "data"))
    (last,) = (tmp_path / "part").rglob("last.ckpt")
    torch.manual_seed(456)
    rest = make_model(lr=5e-3)
    trainer = make_trainer(tmp_path / "rest", 4)
    trainer.fit(rest, datamodule=make_data(tmp_path / "data"), ckpt_path=last, weights_only=True)
    assert trainer.global_step == 4 * 5
    for (name, expected), value in zip(whole.state_dict().items(), rest.state_dict().values(), strict=True):
        assert torch.equal(expected, value), name


def test_calibration_makes_overconfident_and_shifted_scores_honest():
    model = make_model()
    generator = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(4000, 3, generator=generator)
    target = torch.full((4000, 3), torch.nan)
    target[:, 0] = torch.bernoulli(torch.sigmoid(true[:, 0]), generator=generator)
    model.calibrate(3 * true - 1, target)
    for _ in range(2):
        assert float(model.temperature[0]) == pytest.approx(3, rel=0.1)
        assert float(model.offset[0]) == pytest.approx(1, abs=0.3)
        assert model.temperature[1:].tolist() == [1, 1]
        assert model.offset[1:].tolist() == [0, 0]
        model.calibrate((3 * true - 1 + model.offset) / model.temperature, target)


def test_calibration_leaves_scores_alone_that_say_nothing():
    model = make_model()
    target = torch.full((8, 3), torch.nan)
    target[:, 0] = torch.arange(8) < 4
    model.calibrate(torch.linspace(-3, 3, 8)[:, None].expand(8, 3), target)
    assert model.temperature.tolist() == [1, 1, 1]
    assert model.offset.tolist() == [0, 0, 0]


def test_calibration_survives_scores_that_separate_the_labels():
    model = make_model()
    target = torch.full((8, 3), torch.nan)
    target[:, 0] = torch.arange(8) >= 4
    scores = torch.linspace(-3, 3, 8)[:, None].expand(8, 3)
    model.calibrate(scores, target)
    # by maximum likelihood on the labels themselves it would fall to zero
    assert 0.3 < float(model.temperature[0]) < 3


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


WORKER = """
import sys, json, torch, pytorch_lightning as pl
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.scorer.test_module import make_data, make_model, make_trainer
folder = Path({folder!r})
model, data = make_model(), make_data(folder / "data")
data.setup(); model.eval()
trainer = make_trainer(folder, 1, devices={ranks}, strategy="ddp" if {ranks} > 1 else "auto")
results = trainer.test(model, datamodule=data, verbose=False)[0]
if trainer.is_global_zero:
    (folder / "results{ranks}.json").write_text(json.dumps(results))
"""


def test_two_processes_give_the_metrics_of_one_on_an_odd_number(tmp_path):
    write_data(tmp_path / "data", 61)
    rows = make_data(tmp_path / "data")
    rows.prepare_data()
    assert len(rows.rows("report")) == 15
    results = []
    for ranks in (1, 2):
        script = tmp_path / f"worker{ranks}.py"
        script.write_text(WORKER.format(root=str(ROOT), folder=str(tmp_path), ranks=ranks))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        run = subprocess.run([*command, str(script)], capture_output=True, text=True, cwd=ROOT, timeout=300)
        assert run.returncode == 0, run.stderr[-2000:]
        results.append(json.loads((tmp_path / f"results{ranks}.json").read_text()))
    assert results[0].keys() == results[1].keys()
    assert len(results[0]) == 10
    for name, value in results[0].items():
        assert results[1][name] == pytest.approx(value, abs=1e-6), name
