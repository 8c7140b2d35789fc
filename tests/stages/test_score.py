"""What ``train.py score`` does with samples."""

import json
import os
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.images.write import read_provenance
from ifgan_pl.scores.store import ScoreStore
from tests.commands import contents, failure, file_size_limit
from tests.processes import CPU, ROOT, SCORE, Job


def test_number_40_is_row_40_of_the_store(tmp_path: Path) -> None:
    cli.train([*SCORE, "--num", "41", "--seed", "5", "--out", str(tmp_path / "s"), *CPU])
    latents, _ = ScoreStore.open(tmp_path / "s").load()
    assert torch.equal(
        latents[40:41], sample_codes(load_generator("digiface-dcgan"), [40], seed=5, space="z", truncation=1)
    )


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


def test_two_nodes_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    """Two tasks of a SLURM job, on a node each, as srun describes them to each."""
    command = [str(ROOT / "train.py"), *SCORE, "--num", "64", "--out", str(tmp_path / "two"), *CPU]
    results = Job(*command, launcher="srun", nodes=2).wait()
    assert [code for code, _ in results] == [0, 0], results
    assert ["score: 64 faces" in text for _, text in results] == [True, False]  # said once
    cli.train([*SCORE, "--num", "64", "--out", str(tmp_path / "one"), *CPU])
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_full_disk_is_one_line_and_whole_blocks_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "s"
    cli.train([*SCORE, "--num", "16", "--out", str(out), *CPU])
    block = (out / "block-000000000.safetensors").read_bytes()
    command = [*SCORE, "--num", "40", "--out", str(out), *CPU]
    with file_size_limit(4):
        line = failure(cli.train, capsys, *command)
    assert "block-000000016.safetensors cannot be written: the limit of a file's size is reached; make room" in line
    names = {path.name for path in out.iterdir()}
    assert names == {"block-000000000.safetensors", "manifest.json", "config.yaml"}
    cli.train(command)
    cli.train([*SCORE, "--num", "40", "--out", str(tmp_path / "whole"), *CPU])
    assert (out / "block-000000000.safetensors").read_bytes() == block
    assert contents(out) == contents(tmp_path / "whole")
