"""``train.py scorer``: by command, killed and resumed, with callbacks of the user's, on one rank and on two."""

import csv
import json
import time
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.callbacks import WeightAveraging as Averaging
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ifgan_pl import cli
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.loading import load_scorer
from tests.commands import failure, file_size_limit
from tests.data.files import write_celeba
from tests.processes import CPU, ROOT, SCORE, Job
from tests.scorer.toys import Witness, only, save_model, write_toy_config

CELEBA = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry
Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie
Young
"""


MINE = """
trainer:
  callbacks:
    - class_path: tests.scorer.toys.Witness
    - class_path: pytorch_lightning.callbacks.ModelCheckpoint
      init_args: {dirpath: FOLDER/mine, monitor: val/loss, save_last: true, filename: best}
    - class_path: pytorch_lightning.callbacks.EarlyStopping
      init_args: {monitor: val/loss, patience: 7}
    - class_path: pytorch_lightning.callbacks.EMAWeightAveraging
      init_args: {decay: 0.5}
  logger:
    - class_path: pytorch_lightning.loggers.CSVLogger
      init_args: {save_dir: FOLDER/logs, name: mine}
"""


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
    with open(tmp_path / "run" / "metrics" / "version_0" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["val/mae/level"]]) == 4  # three epochs, and the end
    assert float(rows[-1]["test/mae/level"]) == pytest.approx(metrics["mae/level"])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"val/mae/level", "val/auroc/light", "test/r/yaw"} <= set(events.Tags()["scalars"])


def test_a_run_on_two_ranks_killed_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The whole run under srun, the killed one under torchrun: what starts the ranks leaves no trace either."""
    command = [str(ROOT / "train.py"), *toy(tmp_path, epochs=12), "--out"]
    whole_run = Job(*command, str(tmp_path / "whole" / "s.ckpt"), launcher="srun").wait()
    assert [status for status, _ in whole_run] == [0, 0], whole_run
    part = [*command, str(tmp_path / "part" / "s.ckpt")]
    job = Job(*part)
    last = tmp_path / "part" / "checkpoints" / "last.ckpt"
    deadline = time.time() + 120
    while not last.exists() and time.time() < deadline and job.running():
        time.sleep(0.01)
    assert job.running(), "the run ended before it could be killed"
    job.kill()
    done = torch.load(last, weights_only=True)["epoch"] + 1
    assert 1 <= done < 12
    Job(*part, "--resume").succeed()
    whole, resumed = (torch.load(tmp_path / name / "s.ckpt", weights_only=True) for name in ("whole", "part"))
    assert whole["global_step"] == resumed["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    assert (tmp_path / "whole" / "s.json").read_text() == (tmp_path / "part" / "s.json").read_text()
    assert len(list((tmp_path / "part" / "metrics").glob("version_*/metrics.csv"))) == 2  # the first part's are kept


def test_the_paper_s_scorer_on_celeba_in_miniature(tmp_path: Path, dcgan: Generator) -> None:
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
    text = Job(str(script)).succeed()
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
    # and on to an edited face, by CelebA's name
    faces, boundary = ["--generator", "digiface-dcgan", "--truncation", "1"], tmp_path / "boundary.safetensors"
    images = synthesise(dcgan, sample_codes(dcgan, range(64), space="z", truncation=1), space="z")
    with torch.no_grad():  # one epoch on noise: scores that differ, half of them on either side
        model.head.weight /= model(images).std(0)[:, None].clamp_min(1e-6)
        model.offset -= model(images).median(0).values * model.temperature
    save_model(model, out)
    cli.train(["score", *faces, "--num", "100", "--scorer", str(out), "--out", str(tmp_path / "scores"), *CPU])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of attributes that noise has on one side only
        cli.train(["boundary", "--scores", str(tmp_path / "scores"), "--refits", "0", "--out", str(boundary), *CPU])
    cli.edit(
        [
            "--attribute",
            "Wavy_Hair",
            "--steps",
            "3",
            *faces,
            "--boundary",
            str(boundary),
            "--seeds",
            "0",
            "--out",
            str(tmp_path / "edited"),
            *CPU,
        ]
    )
    assert (tmp_path / "edited" / "strip.png").is_file()


def test_the_user_s_take_the_place_of_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(MINE.replace("FOLDER", str(tmp_path)))
    out = tmp_path / "run" / "s.ckpt"
    command = ["scorer", "--config", str(write_toy_config(tmp_path)), "--config", str(tmp_path / "mine.yaml")]
    command += ["--out", str(out), "--patience", "2", *CPU, "--trainer.max_epochs", "2"]
    cli.train(command)
    callbacks = Witness.saw.callbacks
    checkpoint = only(callbacks, ModelCheckpoint)
    assert checkpoint.filename == "best"
    assert only(callbacks, EarlyStopping).patience == 7
    assert only(callbacks, Averaging)._kwargs["avg_fn"](torch.zeros(1), torch.ones(1), 1) == 0.5
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (tmp_path / "logs" / "mine" / "version_0" / "metrics.csv").is_file()
    assert sorted(path.name for path in out.parent.iterdir() if path.suffix != ".yaml") == ["s.ckpt", "s.json"]
    head = torch.load(tmp_path / "mine" / "best.ckpt", weights_only=True)["state_dict"]["head.weight"]
    assert torch.equal(torch.load(out, weights_only=True)["state_dict"]["head.weight"], head)
    cli.train([*command[:-1], "3", "--resume"])  # finds the user's last.ckpt
    assert torch.load(out.parents[1] / "mine" / "last.ckpt", weights_only=True)["global_step"] == 15
    for path in (tmp_path / "mine").iterdir():
        path.unlink()
    message = f"nothing to resume: no such file: {tmp_path / 'mine' / 'last.ckpt'}"
    assert message in failure(cli.train, capsys, *command, "--resume")


def test_flags_that_the_trainer_refuses_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["scorer", "--config", str(write_toy_config(tmp_path)), "--out", str(tmp_path / "s.ckpt"), *CPU]
    assert "the Trainer refuses its flags:" in failure(cli.train, capsys, *command, "--trainer.strategy", "nonsense")


def test_a_printed_config_trains_the_same_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_toy_config(tmp_path)
    command = ["scorer", "--config", str(config), "--seed", "3", "--trainer.max_epochs", "1", *CPU]
    with pytest.raises(SystemExit):
        cli.train([*command, "--out", str(tmp_path / "two" / "s.ckpt"), "--print_config"])
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    cli.train([*command, "--out", str(tmp_path / "one" / "s.ckpt")])
    cli.train(["scorer", "--config", str(tmp_path / "config.yaml")])
    one, two = (torch.load(tmp_path / name / "s.ckpt", weights_only=True) for name in ("one", "two"))
    assert one["hyper_parameters"] == two["hyper_parameters"]
    for name, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][name]), name
    metrics = [json.loads((tmp_path / name / "s.json").read_text()) for name in ("one", "two")]
    assert str(metrics[0]) == str(metrics[1])  # NaN where labels of one class only report


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Options of a scorer of 24 small faces with labels that mean nothing, as YAML."""
    cli.train([*SCORE, "--num", "24", "--pictures", "--out", str(tmp_path / "s"), *CPU])
    images = sorted(path.name for path in (tmp_path / "s" / "pictures").iterdir())
    rows = [f"{name},{i % 2},{i}" for i, name in enumerate(images)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,light,level", *rows]))
    init_args = {"images": str(tmp_path / "s" / "pictures"), "table": str(tmp_path / "labels.csv"), "image_size": 32}
    init_args |= {"attributes": {"light": "binary", "level": "continuous"}, "cache_dir": str(tmp_path / "cache")}
    data = {"class_path": "ifgan_pl.data.TableData", "init_args": init_args | {"batch_size": 8}}
    trainer = {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    options = {"data": data, "backbone": "small8", "image_size": 32, "trainer": trainer}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(options))
    return tmp_path / "mine.yaml"


def test_the_options_that_a_run_leaves_train_the_same_scorer(settings: Path, tmp_path: Path) -> None:
    cli.train(["scorer", "--config", str(settings), "--lr", "0.01", "--out", str(tmp_path / "a" / "a.ckpt")])
    config = tmp_path / "a" / "a.config.yaml"
    assert yaml.safe_load(config.read_text())["lr"] == 0.01
    cli.train(["scorer", "--config", str(config), "--out", str(tmp_path / "b" / "a.ckpt")])
    a, b = (torch.load(tmp_path / name / "a.ckpt", weights_only=True)["state_dict"] for name in ("a", "b"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert (tmp_path / "b" / "a.json").read_bytes() == (tmp_path / "a" / "a.json").read_bytes()


def test_there_must_be_something_to_resume(settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["scorer", "--config", str(settings), "--resume", "--out", str(tmp_path / "a" / "a.ckpt")]
    assert "nothing to resume: no such file: " in failure(cli.train, capsys, *arguments)
    assert not (tmp_path / "a").exists()


def test_a_full_disk_is_one_line_and_the_same_command_trains_once_there_is_room(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.train(["scorer", "--config", str(settings), "--out", str(tmp_path / "a" / "a.ckpt")])  # fills the cache, too
    out = tmp_path / "b" / "a.ckpt"
    with file_size_limit(16):
        line = failure(cli.train, capsys, "scorer", "--config", str(settings), "--out", str(out))
    assert "last.ckpt cannot be written: the disk may be full; make room and run the same command again" in line
    assert not list((tmp_path / "b" / "checkpoints").iterdir())
    assert not out.exists()
    cli.train(["scorer", "--config", str(settings), "--out", str(out)])
    assert out.with_suffix(".json").read_bytes() == (tmp_path / "a" / "a.json").read_bytes()
