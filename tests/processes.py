"""Runs in processes of their own, on several ranks, and how they are killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPU = ["--trainer.accelerator", "cpu"]
SCORE = ["score", "--generator", "digiface-dcgan", "--truncation", "1", "--block_size", "16", "--batch_size", "8"]
"""A job of ``train.py`` that takes milliseconds a face."""


def environment() -> dict[str, str]:
    """That of a run; a rank that aborts shows where its threads were."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def torchrun(*arguments: str, ranks: int = 2) -> list[str]:
    """The command that starts a script on several ranks of this machine, on a port that is free."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    return [*launch, "--", *arguments]


def free_port() -> int:
    """A port on which nobody listens, for launchers that want to be told one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(command: list[str]) -> str:
    """What a command prints; it must succeed."""
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


def srun(*arguments: str, ranks: int = 2) -> list[subprocess.Popen[str]]:
    """The tasks of a SLURM job on one node, as srun describes them to each."""
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "faces", "SLURM_NTASKS": str(ranks), "SLURM_NNODES": "1"}
    job |= {"SLURM_NTASKS_PER_NODE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    tasks = []
    for rank in range(ranks):
        place = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0"}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, *arguments]
        tasks.append(subprocess.Popen(command, env=environment() | job | place, **options))  # type: ignore[call-overload]
    return tasks


def outputs(tasks: Sequence[subprocess.Popen[str]], timeout: float = 300) -> list[tuple[int, str]]:
    """Exit status and output of each task."""
    texts = [task.communicate(timeout=timeout)[0] for task in tasks]
    return [(task.returncode, text) for task, text in zip(tasks, texts, strict=True)]


def ranks(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of a launcher's children."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to torchrun and to its ranks, which are sessions of their own."""
    for pid in (process.pid, *ranks(process)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
