"""What a user types: the command line, in-process."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.data.store import ScoreStore
from ifgan_pl.generators import formats, load_generator
from ifgan_pl.generators.stylegan2 import StyleGAN2
from ifgan_pl.pictures import read_provenance
from ifgan_pl.sampling import sample_codes
from tests.processes import CPU
from tests.test_interruption import SCORE


def failure(run: object, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The single line that a mistake prints."""
    with pytest.raises(SystemExit) as exit_:
        run(list(arguments))  # type: ignore[operator]
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


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
    Path("full").mkdir()
    Path("full/file").touch()
    assert expected in failure(cli.edit, capsys, *arguments)
    assert not Path("results").exists()


def test_an_edit_writes_pictures_a_strip_a_table_and_provenance(tmp_path: Path) -> None:
    out = tmp_path / "edits"
    cli.edit(["--edit", "smile=+2", "--hold", "all", "--seeds", "3", "--resolution", "128", "--out", str(out), *CPU])
    names = {p.name for p in out.iterdir()}
    assert names == {"000003_original.png", "000003_smile+2.png", "strip.png", "edits.csv", "provenance.json"}
    provenance = read_provenance(out / "000003_smile+2.png")
    assert provenance["edit"] == {"smile": 2.0}
    assert provenance["index"] == 3
    assert json.loads((out / "provenance.json").read_text())["generator"] == "ffhq-mobile"


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
    assert "fresh" in capsys.readouterr().out
    cli.train([*arguments, "--seed", "1"])
    assert "seed 0 -> 1" in capsys.readouterr().out


def test_a_boundary_serves_a_generator_of_the_same_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ffhq-mobile's mapping network in front of a StyleGAN2 of 8 pixels stands for NVIDIA's file."""
    mobile = load_generator("ffhq-mobile")
    generator = StyleGAN2(img_resolution=8, channels=[4, 4]).requires_grad_(False)
    for layer, source in zip(generator.mapping_network.layers, mobile.mapping_layers, strict=True):  # type: ignore[attr-defined]
        layer.weight.copy_(source.weight * 512**0.5 / 0.01)
        layer.bias.copy_(source.bias / 0.01)
    formats.save(generator, tmp_path / "ffhq.safetensors")
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
    arguments = [
        "--edit",
        "age=+2",
        "--seeds",
        "0-2",
        "--resolution",
        "128",
        "--batch_size",
        "1",
        "--out",
        str(out),
        *CPU,
    ]
    cli.edit([*arguments, "--trainer.limit_predict_batches", "3"])
    whole = {p.name: p.read_bytes() for p in out.iterdir()}
    for path in out.iterdir():
        path.unlink()
    with pytest.raises(SystemExit):  # two of three faces: what a kill leaves
        cli.edit([*arguments, "--trainer.limit_predict_batches", "2"])
    assert "1 of 3 faces are not done" in capsys.readouterr().err
    assert not (out / "strip.png").exists()
    cli.edit([*arguments, "--resume"])
    assert {p.name: p.read_bytes() for p in out.iterdir()} == whole


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


def test_pictures_are_kept_on_request_also_later(tmp_path: Path) -> None:
    out = tmp_path / "s"
    arguments = [*SCORE, "--num", "20", "--out", str(out), *CPU]
    cli.train(arguments)
    blocks = {path.name: path.read_bytes() for path in out.glob("block-*")}
    assert not (out / "pictures").exists()
    cli.train([*arguments, "--pictures", "true"])
    assert {path.name: path.read_bytes() for path in out.glob("block-*")} == blocks
    assert sorted(path.name for path in (out / "pictures").iterdir()) == [f"{i:09d}.jpg" for i in range(20)]
    assert read_provenance(out / "pictures/000000007.jpg") == {"index": 7, "seed": 0}
