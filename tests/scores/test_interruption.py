"""Runs of two ranks, killed at any moment and started again, end with the bytes of one that was left alone."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.scores.store import ScoreStore
from tests.processes import CPU, ROOT, SCORE, Job, kill, ranks, start, torchrun


def scoring(out: Path, num: int) -> subprocess.Popen[bytes]:
    """``train.py score`` on two ranks."""
    return start(torchrun(str(ROOT / "train.py"), *SCORE, "--num", str(num), "--out", str(out), *CPU))


def wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status, or None while it runs."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def blocks(out: Path) -> int:
    return len(list(out.glob("block-*")))


def check_equal(out: Path, num: int) -> None:
    """The store holds what an uninterrupted run of one process makes."""
    alone = out.with_name(f"{out.name}-alone")
    cli.train([*SCORE, "--num", str(num), "--out", str(alone), *CPU, "--trainer.enable_progress_bar", "false"])
    latents, scores = ScoreStore.open(out).load()
    assert len(scores) == num
    assert all(torch.equal(a, b) for a, b in zip((latents, scores), ScoreStore.open(alone).load(), strict=True))


def test_a_killed_run_continues_to_the_same_bytes(tmp_path: Path) -> None:
    out, num = tmp_path / "two", 480
    run = scoring(out, num)
    deadline = time.time() + 120
    while blocks(out) < 2 and time.time() < deadline and wait(run, 0.02) is None:
        pass
    assert run.poll() is None, "the run ended before it could be killed"
    kill(run)
    assert blocks(out), "the run was killed before it had written a block"
    Job(str(ROOT / "train.py"), *SCORE, "--num", str(num), "--out", str(out), *CPU).succeed()
    check_equal(out, num)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """Of all processes, or (one time in three) of one rank, which takes the others down. Half the moments lie in the
    start, half after a block of that life is there; a store that is complete before its kill is followed by another."""
    draw, num, kills, midway, stores = random.Random(0), 3000, 0, 0, [tmp_path / "0"]
    for _ in range(200):
        out = stores[-1]
        before = blocks(out)
        run = scoring(out, num)
        if draw.random() < 0.5:
            while blocks(out) == before and wait(run, 0.02) is None:
                pass
        status = wait(run, draw.uniform(0, 4))
        if status is None and draw.random() < 1 / 3 and len(ranks(run)) == 2:
            os.kill(draw.choice(ranks(run)), signal.SIGKILL)
            status = wait(run, 120)
            assert status != 0, "the run went on without one of its ranks"
            kills += 1
        elif status is None:
            kill(run)
            kills += 1
        elif status == 0:
            stores.append(tmp_path / str(len(stores)))
        else:
            pytest.fail(f"a run that nobody killed ended with status {status}")
        midway += before < blocks(out)
        if kills >= 20:
            break
    assert kills == 20
    assert midway >= 5, "too few kills fell into the scoring itself"
    assert wait(scoring(stores[-1], num), 300) == 0
    for out in stores:
        check_equal(out, num)
