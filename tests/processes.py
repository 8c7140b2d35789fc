"""Runs in processes of their own, on several ranks, and how they are killed."""

import faulthandler
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPU = ["--trainer.accelerator", "cpu"]
SCORE = ["score", "--generator", "digiface-dcgan", "--truncation", "1", "--block_size", "16", "--batch_size", "8"]
"""A job of ``train.py`` that takes milliseconds a face."""
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["ifgan_pl.cli"])


def environment() -> dict[str, str]:
    """That of a run; a rank that aborts shows where its threads were."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}


def torchrun(*arguments: str) -> list[str]:
    """The command that starts a script on two ranks of this machine, on a port that is free."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
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


def _script(arguments: Sequence[str], variables: dict[str, str], folder: str, output: str) -> None:
    """Become a process that runs a script, with both its outputs in a file."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(arguments[0]).parent))
    runpy.run_path(arguments[0], run_name="__main__")


class Job:
    """A script on several ranks, told about each other as torchrun or srun tell them.

    Ranks are forks of a process that has loaded PyTorch, Lightning and the package, which takes seconds each time. What
    the launchers do besides, such as ending the others when one fails, they do in tests that start the real one.

    Args:
        arguments: the script and what it is given.
        ranks: how many; 1 without a launcher is a plain process.
        launcher: ``torchrun``, ``srun`` or none.
        nodes: that each have as many of the ranks.
    """

    def __init__(self, *arguments: str, ranks: int = 2, launcher: str = "torchrun", nodes: int = 1) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.processes, self.outputs = [], []
        port = str(free_port())
        for rank in range(ranks):
            told = _TOLD[launcher](rank, ranks, nodes, port) if launcher else {}
            self.outputs.append(Path(self.folder.name) / str(rank))
            given = arguments, {**environment(), **told}, str(Path.cwd()), str(self.outputs[-1])
            self.processes.append(SERVER.Process(target=_script, args=given))
            self.processes[-1].start()

    def running(self) -> bool:
        """Whether no rank has ended."""
        return all(process.is_alive() for process in self.processes)

    def kill(self) -> None:
        """SIGKILL to all ranks."""
        for process in self.processes:
            process.kill()
            process.join()

    def wait(self, timeout: float = 300) -> list[tuple[int | None, str]]:
        """Exit status and output of each rank, once all have ended; those still at work by then are killed."""
        deadline = time.monotonic() + timeout
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        self.kill()
        return [(p.exitcode, path.read_text()) for p, path in zip(self.processes, self.outputs, strict=True)]

    def succeed(self) -> str:
        """What all ranks print; they must succeed."""
        results = self.wait()
        assert [status for status, _ in results] == [0] * len(results), results
        return "".join(text for _, text in results)


def _by_torchrun(rank: int, ranks: int, nodes: int, port: str) -> dict[str, str]:
    each = ranks // nodes
    place = {"RANK": rank, "LOCAL_RANK": rank % each, "GROUP_RANK": rank // each}
    place |= {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": each}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    return {name: str(value) for name, value in (place | meeting).items()}


def _by_srun(rank: int, ranks: int, nodes: int, port: str) -> dict[str, str]:
    each = ranks // nodes
    job = {"JOB_ID": 4711, "JOB_NAME": "faces", "NTASKS": ranks, "NNODES": nodes, "NTASKS_PER_NODE": each}
    place = {"PROCID": rank, "LOCALID": rank % each, "NODEID": rank // each}
    variables = {f"SLURM_{name}": str(value) for name, value in (job | place).items()}
    return variables | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


_TOLD = {"torchrun": _by_torchrun, "srun": _by_srun}


def ranks(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of a launcher's children."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to torchrun and to its ranks, which are sessions of their own."""
    for pid in (process.pid, *ranks(process)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
