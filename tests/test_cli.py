"""What a user types: the command line, in-process."""

import csv
import inspect
import json
import os
import shutil
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from ifgan_pl import cli
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.images.write import read_provenance
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scores.store import ScoreStore
from ifgan_pl.stages.scorer import train_scorer
from tests.commands import contents, failure
from tests.generators.cases import stylegan2_ffhq
from tests.processes import CPU, ROOT, SCORE, environment, free_port, run, torchrun


def test_the_scorer_s_settings_are_options_of_its_stage() -> None:
    help_text = cli.stage_parser(train_scorer).format_help()
    for name in inspect.signature(FacialAttributeScorer).parameters:
        assert name == "attributes" or f"--{name} " in help_text, name


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scoer"], "invalid choice"),
        (["score", "--nmu", "3"], "nmu"),
        (["score", "--gen", "ffhq-mobile"], "gen"),
        (["score", "--generator", "stylegan9"], "unknown generator"),
        (["score", "--scorer", "nobody"], "no such file: nobody"),
        (["boundary", "--scores", "nowhere"], "no score store"),
    ],
)
def test_mistakes_in_training_are_one_line(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in failure(cli.train, capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--attribute"),
        (["--attribute", "beard"], "unknown attribute"),
        (["--attribute", "smile", "--hold", "smile"], "both edited and held"),
        (["--attribute", "smile", "--seeds", "a-b"], "0-15,40"),
        (["--attribute", "smile", "--latents", "nan.npy"], "NaN"),
        (["--attribute", "smile", "--resolution", "300"], "divide 1024"),
        (["--attribute", "smile", "--generator", "digiface-dcgan", "--boundary", "ffhq-mobile-w"], "latent spaces"),
        (["--attribute", "smile", "--out", "full"], "not empty"),
        (["--attribute", "smile", "--format", "bmp"], "unknown format"),
        (["--attribute", "smile", "--batch_size", "0"], "--batch_size"),
        (["--attribute", "smile", "--layers", "x"], "0-15,40"),
        (["--attribute", "smile", "--layers", "0-16"], "rows of W+, 0 to 15"),
        (["--attribute", "smile", "--unit", "sigma"], "std, latent"),
        (["--attribute", "smile", "--mode", "at"], "shift, to"),
        (["--edit", "smile=nan"], "finite"),
        (["--attribute", "smile", "--trainer.accelerator", "tpu"], "Trainer refuses"),
        (
            ["--attribute", "twin", "--boundary", "twins.safetensors", "--hold", "all", "--unit", "latent"],
            "depend on each other",
        ),
        (["--attribute", "smile", "--generator", "digiface-dcgan"], "no boundary ships"),
    ],
)
def test_mistakes_in_editing_are_one_line_and_write_nothing(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("nan.npy", np.full((2, 512), np.nan, dtype=np.float32))
    twins = LinearBoundary(torch.eye(512)[[0, 0]], attributes=["twin", "other"], space="w", metric="identity")
    twins.save("twins.safetensors")
    Path("full").mkdir()
    Path("full/file").touch()
    assert expected in failure(cli.edit, capsys, *arguments)
    assert not Path("results").exists()


def test_an_edit_writes_every_format_with_its_provenance(tmp_path: Path) -> None:
    out = tmp_path / "edits"
    formats = ["png", "jpg", "gif", "webp", "mp4", "strip", "grid", "html"]
    arguments = ["--edit", "smile=+2", "--hold", "all", "--seeds", "3", "--resolution", "128", "--out", str(out), *CPU]
    cli.edit([*arguments, "--scorer", "scorer-faces", "--format", *formats])
    names = set(contents(out))
    faces = {f"000003_{c}.{s}" for c in ("original", "smile+2") for s in ("png", "jpg")}
    faces |= {f"000003.{s}" for s in formats if s in ("gif", "webp", "mp4")} | {"gallery/000003.jpg"}
    sheets = {"strip.png", "grid_original.png", "grid_smile+2.png", "index.html"}
    assert names == faces | sheets | {"edits.csv", "provenance.json"}
    for name in faces | sheets:
        about = read_provenance(out / name)
        assert about["generator"] == "ffhq-mobile"
        assert about["index"] == ([3] if name in sheets else 3)
        assert {"boundary", "seed", "edit", "truncation", "version", "hold"} <= set(about)
    assert read_provenance(out / "000003_smile+2.png")["edit"] == {"smile": 2.0}
    assert read_provenance(out / "000003.gif")["edit"] == [{}, {"smile": 2.0}]
    assert json.loads((out / "provenance.json").read_text())["generator"] == "ffhq-mobile"
    with open(out / "edits.csv") as file:
        before, after = csv.DictReader(file)
    assert (before["file"], after["file"]) == ("000003_original.png", "000003_smile+2.png")
    assert float(after["before_smile"]) == float(before["after_smile"])
    assert float(after["after_smile"]) > float(after["before_smile"]) + 1


def test_layers_are_said_to_void_the_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--edit", "smile=1", "--seeds", "0", "--resolution", "128", "--format", "jpg", *CPU]
    np.save(tmp_path / "wp.npy", np.zeros((1, 18, 512), dtype=np.float32))
    cli.edit([*arguments, "--layers", "0-7", "--latents", str(tmp_path / "wp.npy"), "--out", str(tmp_path / "e")])
    assert "no longer apply" in capsys.readouterr().out
    assert read_provenance(tmp_path / "e" / "000000_smile+1.jpg")["layers"] == list(range(8))


def test_boundaries_from_files_of_the_original(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((400, 20)).astype(np.float32)
    np.save(tmp_path / "w.npy", codes)
    np.save(tmp_path / "smile_scores.npy", codes[:, :1] * 2 + 0.1)
    arguments = ["boundary", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "smile_scores.npy")]
    arguments += ["--out", str(tmp_path / "b.safetensors")]
    cli.train(arguments)
    assert "smile from 400 codes" in capsys.readouterr().out
    cli.train(arguments)
    assert "up to date" in capsys.readouterr().out
    cli.train([*arguments, "--seed", "1"])
    assert "seed 0 -> 1" in capsys.readouterr().out


def test_an_attribute_that_cannot_be_fitted_is_one_line_and_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = np.random.default_rng(0).standard_normal((400, 20)).astype(np.float32)
    np.save(tmp_path / "w.npy", codes)
    rows = [f"{code[0]},3,{int(i < 4)}" for i, code in enumerate(codes)]
    (tmp_path / "labels.csv").write_text("\n".join(["smile,flat,few", *rows]))
    arguments = ["boundary", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "labels.csv")]
    with pytest.warns(UserWarning, match=r"either|differ") as warned:
        cli.train([*arguments, "--out", str(tmp_path / "b.safetensors")])
    assert "boundary: smile from 400 codes" in capsys.readouterr().out
    assert [warnings.formatwarning(w.message, w.category, w.filename, w.lineno) for w in warned] == [
        "warning: flat: all 400 scores are 3; a boundary needs scores that differ\n",
        "warning: few: 4 of 400 scores lie above 0.5 and 396 below; either class needs 10 samples\n",
    ]


def test_a_boundary_serves_a_generator_of_the_same_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ffhq-mobile's mapping network in front of a StyleGAN2 of 8 pixels stands for NVIDIA's file."""
    formats.save(stylegan2_ffhq(), tmp_path / "ffhq.safetensors")
    out = tmp_path / "edits"
    cli.edit(["--attribute", "smile", "--generator", str(tmp_path / "ffhq.safetensors"), "--out", str(out), *CPU])
    assert "a boundary of ffhq-mobile serves" in capsys.readouterr().out
    assert (out / "strip.png").exists()


def test_number_40_is_row_40_of_the_store(tmp_path: Path) -> None:
    cli.train([*SCORE, "--num", "41", "--seed", "5", "--out", str(tmp_path / "s"), *CPU])
    latents, _ = ScoreStore.open(tmp_path / "s").load()
    assert torch.equal(
        latents[40:41], sample_codes(load_generator("digiface-dcgan"), [40], seed=5, space="z", truncation=1)
    )


def test_an_interrupted_edit_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "edits"
    arguments = ["--edit", "age=+2", "--seeds", "0-2", "--resolution", "128", "--batch_size", "1", "--out", str(out)]
    arguments += ["--format", "png", "gif", "webp", "mp4", "strip", "grid", "html", *CPU]
    cli.edit([*arguments, "--trainer.limit_predict_batches", "3"])
    whole = contents(out)
    shutil.rmtree(out)
    with pytest.raises(SystemExit):  # two of three faces: what a kill leaves
        cli.edit([*arguments, "--trainer.limit_predict_batches", "2"])
    assert "1 of 3 faces are not done" in capsys.readouterr().err
    assert not (out / "strip.png").exists()
    (out / ".000002_original.png.x1y2.png").write_bytes(b"half a pictu")
    refusal = failure(cli.edit, capsys, *arguments, "--resume", "--truncation", "0.5", "--seeds", "0-1")
    assert "other faces; truncation 0.7 -> 0.5" in refusal
    cli.edit([*arguments, "--resume"])
    assert contents(out) == whole
    capsys.readouterr()
    cli.edit([*arguments, "--resume"])
    assert "edit: up to date" in capsys.readouterr().out


def test_a_store_of_another_machine_needs_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SCORE, "--num", "4", "--out", str(tmp_path / "s"), *CPU]
    cli.train(arguments)
    manifest = tmp_path / "s" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"numerics": {"device": "abacus"}}))
    flag = "--allow-numerics-change"
    assert flag in failure(cli.train, capsys, *arguments)
    cli.train([*arguments, flag])
    assert "numerics changed (compile None -> False; device abacus" in capsys.readouterr().out


def test_no_network_and_a_corrupt_cache_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path / "cache"))
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    arguments = [*SCORE, "--num", "1", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        cli.train(arguments)
    assert "could not fetch gan-face-generate" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "cache").glob("*.safetensors"))
    (tmp_path / "cache" / "digiface-dcgan.safetensors").write_bytes(b"not a cache")
    assert "delete it" in failure(cli.train, capsys, *arguments)


def test_images_are_kept_on_request_also_later(tmp_path: Path) -> None:
    out = tmp_path / "s"
    arguments = [*SCORE, "--num", "20", "--out", str(out), *CPU]
    cli.train(arguments)
    blocks = {path.name: path.read_bytes() for path in out.glob("block-*")}
    assert not (out / "pictures").exists()
    cli.train([*arguments, "--pictures"])
    assert {path.name: path.read_bytes() for path in out.glob("block-*")} == blocks
    assert sorted(path.name for path in (out / "pictures").iterdir()) == [f"{i:09d}.jpg" for i in range(20)]
    assert read_provenance(out / "pictures/000000007.jpg") == {"index": 7, "seed": 0}


def test_a_command_ends_the_process_group_it_began_and_no_other(tmp_path: Path) -> None:
    begin = partial(dist.init_process_group, "gloo", rank=0, world_size=1)
    with cli.one_command():
        begin(init_method=f"file://{tmp_path / 'its own'}")
    assert not dist.is_initialized()
    begin(init_method=f"file://{tmp_path / 'of the caller'}")
    with cli.one_command():
        pass
    assert dist.is_initialized()
    dist.destroy_process_group()


@pytest.mark.parametrize("nodes", [1, 2])
def test_srun_gives_the_bytes_of_one_process(tmp_path: Path, nodes: int) -> None:
    """Two tasks of a SLURM job, on one node or on one each, as srun describes them to each."""
    a_node = 2 // nodes
    command = [sys.executable, str(ROOT / "train.py"), *SCORE, "--num", "64", "--out", str(tmp_path / "two"), *CPU]
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "faces", "SLURM_NTASKS": "2", "SLURM_NNODES": str(nodes)}
    job |= {"SLURM_NTASKS_PER_NODE": str(a_node), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    tasks = []
    for rank in range(2):
        place = {"PROCID": rank, "LOCALID": rank % a_node, "NODEID": rank // a_node}
        variables = environment() | job | {f"SLURM_{name}": str(value) for name, value in place.items()}
        tasks.append(
            subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    results = [(task.communicate(timeout=300), task.returncode) for task in tasks]
    assert [code for _, code in results] == [0, 0], results
    assert ["score: 64 faces" in out for (out, _), _ in results] == [True, False]  # said once
    cli.train([*SCORE, "--num", "64", "--out", str(tmp_path / "one"), *CPU])
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_two_ranks_edit_to_the_same_bytes(tmp_path: Path) -> None:
    boundary = LinearBoundary(torch.randn(2, 100).sign() / 10, attributes=["a/b", "c"], space="z")
    boundary.save(tmp_path / "b.safetensors")
    arguments = ["--generator", "digiface-dcgan", "--boundary", str(tmp_path / "b.safetensors"), "--truncation", "1"]
    arguments += ["--attribute", "a/b", "--unit", "latent", "--seeds", "0-12,40", "--steps", "3", *CPU]
    arguments += ["--format", "png", "gif", "webp", "mp4", "strip", "grid", "html", "--out"]
    run(torchrun(str(ROOT / "edit.py"), *arguments, str(tmp_path / "two")))
    cli.edit([*arguments, str(tmp_path / "one")])
    two, one = contents(tmp_path / "two"), contents(tmp_path / "one")
    assert two == one
    assert {"000040_a-b+3.png", "strip-000.png", "strip-001.png", "grid_a-b-3.png", "gallery/000012.jpg"} <= set(one)
