"""Training: each flag, the user's callbacks and loggers, by command, killed and resumed, on one rank and on two."""

import csv
import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ifgan_pl import cli
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scorer.training import fit_scorer, new_scorer
from tests.data.files import write_celeba
from tests.processes import CPU, ROOT, kill, run, start, torchrun
from tests.scorer.toys import KINDS, make_data, make_model, make_trainer, write_toy_config

CELEBA = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry
Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie
Young
"""


class Trace(pl.Callback):
    """Learning rates and head weights after every batch."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.heads: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        assert isinstance(module, FacialAttributeScorer)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.heads.append(module.head.weight.detach().clone())


# ------------------------------------------------------------------------ flags


@pytest.mark.parametrize(
    ("model_options", "trainer_options"),
    [
        ({}, {"precision": "bf16-mixed"}),
        ({"channels_last": False}, {}),
        ({"compile": True}, {}),
        ({}, {"accumulate_grad_batches": 2, "ema": 0, "patience": 3}),
    ],
    ids=["bf16-mixed", "channels_first", "compile", "accumulate"],
)
def test_each_flag_trains_a_scorer_that_loads(
    model_options: dict[str, Any],
    trainer_options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[torch.nn.Module] = []

    def captured(module: torch.nn.Module) -> None:  # the graph is captured; the C++ compiler is not needed
        compiled.append(module)
        module._compiled_call_impl = torch.compile(module._call_impl, backend="eager", fullgraph=True)

    monkeypatch.setattr(torch.nn.Module, "compile", captured)
    options: dict[str, Any] = {"backbone": "small8", "image_size": 32, "augmentation": 0.3, "lr": 5e-3}
    model = new_scorer(KINDS, **(options | model_options))
    metrics = fit_scorer(
        model, make_data(tmp_path / "data"), make_trainer(tmp_path, 12, **trainer_options), out=tmp_path / "s.ckpt"
    )
    assert metrics["r/level"] > 0.7
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert compiled == ([model.backbone] if "compile" in model_options else [])
    loaded = load_scorer(tmp_path / "s.ckpt")
    assert len(compiled) <= 1  # loading compiles nothing
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(loaded(images), model.eval()(images), rtol=1e-4, atol=1e-4)
    torch.compiler.reset()


def test_channels_last_is_only_a_layout() -> None:
    images = torch.rand(4, 3, 32, 32)
    first, last = make_model(channels_last=False).eval(), make_model().eval()
    kernel = next(p for p in last.backbone.parameters() if p.ndim == 4 and p.shape[1] > 1)
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(first(images), last(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_warm_up_and_cosine_count_optimiser_steps(accumulate: int, tmp_path: Path) -> None:
    trace = Trace()
    model = make_model(warmup=0.25, lr=0.01)
    trainer = make_trainer(tmp_path, 4, ema=0, accumulate_grad_batches=accumulate, callbacks=[trace])
    trainer.fit(model, datamodule=make_data(tmp_path / "data"))
    steps = 20 if accumulate == 1 else 12  # 5 batches an epoch; the last of an epoch does not wait
    assert trainer.global_step == steps
    rates = torch.tensor(trace.rates)
    warm = round(0.25 * steps)
    if accumulate == 1:
        torch.testing.assert_close(rates[: warm - 1], 0.01 * torch.arange(2, warm + 1) / warm)
        fall = torch.arange(1, steps - warm + 1) / (steps - warm)
        torch.testing.assert_close(rates[warm:], 0.01 * (0.5 + 0.5 * torch.cos(math.pi * fall)))
    assert rates.max() == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_average_of_the_weights_is_the_exponential_one(tmp_path: Path) -> None:
    trace = Trace()
    model = make_model()
    make_trainer(tmp_path, 2, ema=0.8, callbacks=[trace]).fit(model, datamodule=make_data(tmp_path / "data"))
    average = trace.heads[0]
    for head in trace.heads[1:]:
        average = 0.8 * average + 0.2 * head
    assert not torch.allclose(model.head.weight, trace.heads[-1], atol=1e-4)
    torch.testing.assert_close(model.head.weight.detach(), average, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ema", [0, 0.5])
def test_early_stopping_keeps_the_best_weights(ema: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 2.0, 1.0, 4.0, 5.0, *[9.0] * 20])
    seen: list[torch.Tensor] = []
    model = make_model()
    logged = model.log_dict

    def log_dict(values: dict[str, torch.Tensor]) -> None:
        if "val/loss" in values and model.trainer.state.fn == "fit":
            values["val/loss"] = torch.tensor(next(losses))
        logged(values)

    def keep(trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            seen.append(model.head.weight.detach().clone())

    calibrated: list[torch.Tensor] = []
    monkeypatch.setattr(model, "log_dict", log_dict)
    monkeypatch.setattr(model, "calibrate", lambda scores, target: calibrated.append(scores))
    watch = pl.callbacks.LambdaCallback(on_validation_start=None, on_validation_batch_end=lambda *a: keep(a[0], a[1]))
    trainer = make_trainer(tmp_path, 30, ema=ema, patience=2, callbacks=[watch])
    data = make_data(tmp_path / "data")
    fit_scorer(model, data, trainer, out=tmp_path / "s.ckpt")
    assert len(seen) == 5  # 3, 2, 1, then twice no better
    loaded = load_scorer(tmp_path / "s.ckpt")
    assert torch.equal(loaded.head.weight, seen[2])
    held_out = next(iter(data.val_dataloader()))["image"]
    with torch.no_grad():  # not the last average's, which the callback would exchange them for
        torch.testing.assert_close(calibrated[0].float(), loaded(held_out / 127.5 - 1), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ command line


def toy(folder: Path, *, epochs: int) -> list[str]:
    """Arguments of ``train.py scorer`` on small images."""
    return ["scorer", "--config", str(write_toy_config(folder)), "--trainer.max_epochs", str(epochs), *CPU]


def test_metrics_are_a_table_and_are_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.train([*toy(tmp_path, epochs=3), "--out", str(tmp_path / "run" / "s.ckpt")])
    text = capsys.readouterr().out
    assert "| binary | accuracy | auroc | ap | f1 | ece |" in text
    assert "| continuous | mae | r |" in text
    metrics = json.loads((tmp_path / "run" / "s.json").read_text())
    assert f"| level | {metrics['mae/level']:.3f} | {metrics['r/level']:.3f} |" in text
    with open(tmp_path / "run" / "metrics" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["val/mae/level"]]) == 4  # three epochs, and the end
    assert float(rows[-1]["test/mae/level"]) == pytest.approx(metrics["mae/level"])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"val/mae/level", "val/auroc/light", "test/r/yaw"} <= set(events.Tags()["scalars"])


def test_a_run_on_two_ranks_killed_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    command = torchrun(str(ROOT / "train.py"), *toy(tmp_path, epochs=12))
    run([*command, "--out", str(tmp_path / "whole" / "s.ckpt")])
    part = [*command, "--out", str(tmp_path / "part" / "s.ckpt")]
    process = start(part)
    last = tmp_path / "part" / "checkpoints" / "last.ckpt"
    deadline = time.time() + 120
    while not last.exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    kill(process)
    done = torch.load(last, weights_only=True)["epoch"] + 1
    assert 1 <= done < 12
    run([*part, "--resume"])
    whole, resumed = (torch.load(tmp_path / name / "s.ckpt", weights_only=True) for name in ("whole", "part"))
    assert whole["global_step"] == resumed["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    assert (tmp_path / "whole" / "s.json").read_text() == (tmp_path / "part" / "s.json").read_text()


def test_a_run_killed_after_its_last_checkpoint_ends_alike(tmp_path: Path) -> None:
    for name, resume in (("whole", None), ("rest", tmp_path / "checkpoints" / "last.ckpt")):
        model, data, trainer = make_model(), make_data(tmp_path / "data"), make_trainer(tmp_path, 2)
        fit_scorer(model, data, trainer, out=tmp_path / f"{name}.ckpt", resume=resume)
    whole, rest = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("whole", "rest"))
    assert whole["global_step"] == rest["global_step"] == 10
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, rest["state_dict"][name]), name
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_the_paper_s_scorer_on_celeba_in_miniature(tmp_path: Path) -> None:
    """configs/scorer_celeba.yaml as it is, with a smaller network: 40 attributes, landmarks, yaw, on two ranks."""
    write_celeba(tmp_path, CELEBA.split())
    out = tmp_path / "run" / "s.ckpt"
    arguments = ["scorer", "--config", "scorer_celeba", "--data.init_args.root", str(tmp_path), "--out", str(out)]
    arguments += ["--data.init_args.image_size", "32", "--data.init_args.batch_size", "5", "--image_size", "32"]
    arguments += ["--data.init_args.cache_dir", str(tmp_path / "cache"), "--backbone", "small8"]
    arguments += ["--trainer.max_epochs", "1", *CPU]
    script = tmp_path / "train.py"
    script.write_text(
        "from torchvision.datasets import CelebA\nfrom ifgan_pl import cli\n"
        f"CelebA._check_integrity = lambda self: True\ncli.train({arguments!r})\n"
    )
    text = run(torchrun(str(script)))
    assert text.count("sync_batchnorm needs GPUs") == 1
    assert text.count("| binary | accuracy | auroc | ap | f1 | ece |") == 1
    model = load_scorer(out)
    assert len(model.attributes) == 40 + 10 + 1
    assert model.attributes[0] == "5_o_clock_shadow"
    assert model.kinds.count("binary") == 40
    assert model.hparams["balance"] == 0.5
    metrics = json.loads(out.with_suffix(".json").read_text())
    assert 0 <= metrics["accuracy/eyeglasses"] <= 1
    assert metrics["mae/yaw"] > 0
