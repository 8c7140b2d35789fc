"""Several ranks, as torchrun and srun start them: the files of one, and an end for all when one fails."""

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl import LinearBoundary, cli
from ifgan_pl.core.distributed import ALONE
from ifgan_pl.core.errors import UserError
from ifgan_pl.scores.store import ScoreStore
from ifgan_pl.stages.launch import join
from tests.commands import contents
from tests.processes import CPU, ROOT, SCORE, Job, environment, run, torchrun

FAKE = """
import os, time, torch

RANK = os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or os.environ.get("LOCAL_RANK", "0")


class Colours:  # stands for a user's own scorer
    attributes = ("red", "blue")

    def __call__(self, images):
        if RANK == os.environ.get("BAD_RANK"):
            raise_at = torch.nan
            return images.mean((2, 3))[:, [0, 2]] * raise_at
        if "BAD_RANK" in os.environ:
            time.sleep(0.05)  # it would take minutes
        return images.mean((2, 3))[:, [0, 2]]
"""


def assert_same_run(several: Path, one: Path) -> None:
    """The same files: bytes of all but the boundary, whose sums have another order, and what is made with it."""
    names = set(contents(one))
    assert set(contents(several)) == names
    store = {name: data for name, data in contents(one).items() if name.startswith("scores/")}
    assert {name: data for name, data in contents(several).items() if name.startswith("scores/")} == store
    a, b = (LinearBoundary.load(folder / "boundary.safetensors") for folder in (several, one))
    torch.testing.assert_close(a.normals, b.normals, rtol=0, atol=1e-5)
    torch.testing.assert_close(a.biases, b.biases, rtol=0, atol=1e-5)
    assert a.metrics["attributes"].keys() == b.metrics["attributes"].keys()


ALL = [
    "--generator",
    "digiface-dcgan",
    "--truncation",
    "1",
    "--num",
    "64",
    "--faces",
    "2",
    "--gradient_faces",
    "2",
    *CPU,
    "--out",
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole run on one rank."""
    out = tmp_path_factory.mktemp("alone") / "run"
    Job(str(ROOT / "train.py"), *ALL, str(out), ranks=1, launcher="").succeed()
    return out


@pytest.mark.parametrize("ranks", [2, 3])
def test_all_stages_under_torchrun(tmp_path: Path, alone: Path, ranks: int) -> None:
    """The real one starts two."""
    command = [str(ROOT / "train.py"), *ALL, str(tmp_path / "run")]
    printed = run(torchrun(*command)) if ranks == 2 else Job(*command, ranks=ranks).succeed()
    assert printed.count("boundary: ") == 1
    assert printed.count("report: ") == 1
    assert_same_run(tmp_path / "run", alone)


def test_all_stages_under_srun(tmp_path: Path, alone: Path) -> None:
    results = Job(str(ROOT / "train.py"), *ALL, str(tmp_path / "run"), launcher="srun").wait()
    assert [status for status, _ in results] == [0, 0], results
    assert ["report: " in text for _, text in results] == [True, False]
    assert_same_run(tmp_path / "run", alone)


def test_ranks_fit_their_own_blocks_to_the_boundary_of_one(tmp_path: Path) -> None:
    """From a store of many blocks, and from a file of latents, of which each rank reads its rows."""
    store = tmp_path / "scores"
    cli.train([*SCORE, "--num", "600", "--out", str(store), *CPU, "--trainer.enable_progress_bar", "false"])
    codes, scores = ScoreStore.open(store).load()
    np.save(tmp_path / "z.npy", codes[:501].numpy())
    np.save(tmp_path / "age_scores.npy", scores[:501, 3:4].numpy())
    files = ["--latents", str(tmp_path / "z.npy"), "--space", "z", "--scores", str(tmp_path / "age_scores.npy")]
    for name, options in {"store": ["--scores", str(store)], "files": [*files, "--solver", "logistic"]}.items():
        arguments = ["boundary", *options, *CPU, "--out"]
        cli.train([*arguments, str(tmp_path / f"{name}-1.safetensors")])
        Job(str(ROOT / "train.py"), *arguments, str(tmp_path / f"{name}-2.safetensors")).succeed()
        one, two = (LinearBoundary.load(tmp_path / f"{name}-{ranks}.safetensors") for ranks in (1, 2))
        torch.testing.assert_close(two.normals, one.normals, rtol=0, atol=1e-5, msg=name)
        torch.testing.assert_close(two.lambdas, one.lambdas, rtol=1e-4, atol=0, msg=name)
        refits = [b.metrics["attributes"]["age"]["bootstrap"]["refit_cosine"] for b in (one, two)]
        assert refits[0] == pytest.approx(refits[1], abs=1e-3)


def test_sgd_on_two_ranks_ends_where_one_ends(tmp_path: Path) -> None:
    store = tmp_path / "scores"
    cli.train([*SCORE, "--num", "900", "--out", str(store), *CPU, "--trainer.enable_progress_bar", "false"])
    arguments = ["boundary", "--scores", str(store), "--solver", "sgd", "--batch_size", "50", *CPU]
    arguments += ["--trainer.max_epochs", "30", "--out"]
    cli.train([*arguments, str(tmp_path / "one.safetensors")])
    Job(str(ROOT / "train.py"), *arguments, str(tmp_path / "two.safetensors")).succeed()
    one, two = (LinearBoundary.load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert float((one.normals * two.normals).sum(1).min()) > 0.99
    assert (tmp_path / "two.sgd" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("bad", ["0", "1"])
@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_a_rank_that_fails_ends_all_with_its_one_line(tmp_path: Path, launcher: str, bad: str) -> None:
    (tmp_path / "fake.py").write_text(FAKE)
    arguments = [str(ROOT / "train.py"), *SCORE, "--scorer", "fake:Colours", "--num", "100000", *CPU]
    arguments += ["--out", str(tmp_path / "out")]
    begun = time.monotonic()
    os.environ["BAD_RANK"] = bad
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        if launcher == "srun":
            results = Job(*arguments, launcher="srun").wait(90)
            assert [status for status, _ in results] == [2, 2], results
            printed = "".join(text for _, text in results)
        else:
            result = subprocess.run(
                torchrun(*arguments), env=environment(), capture_output=True, text=True, timeout=90, check=False
            )
            assert result.returncode != 0
            printed = result.stderr
    finally:
        os.chdir(here)
        del os.environ["BAD_RANK"]
    assert time.monotonic() - begun < 90  # its start included, on a busy machine
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, printed
    assert "not finite among samples" in lines[0]


def test_one_process_is_alone() -> None:
    assert join({"accelerator": "cpu"}) == ALONE


def test_more_processes_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match="devices 99: on a CPU at most one process a core"):
        join({"accelerator": "cpu", "devices": 99})
