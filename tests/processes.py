"""Runs of two ranks in processes of their own, and how they are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPU = ["--trainer.accelerator", "cpu"]


def environment() -> dict[str, str]:
    """That of a run; a rank that aborts shows where its threads were."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def torchrun(port: int, *arguments: str) -> list[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    return [*launch, "--", *arguments]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(command: list[str]) -> str:
    """What a command prints; it must succeed."""
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


def ranks(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of a launcher's children."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to torchrun and to its ranks, which are sessions of their own."""
    for pid in (process.pid, *ranks(process)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
