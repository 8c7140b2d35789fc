"""Several ranks: how a command becomes one of them, and how a rank that fails ends the others."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.accelerators.cpu import CPUAccelerator
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from ifgan_pl.core.cores import workers
from ifgan_pl.core.distributed import ALONE, Ranks, ranks_of_group
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.trainer_flags import one_line_refusals

FAILED, ENDED = "ifgan_pl/failed", "ifgan_pl/ended"
"""Keys of the store through which ranks meet: the rank that failed first, and how many have ended well."""
POLL, PATIENCE = 1.0, 60.0
"""Seconds between two looks at the others, and seconds that rank 0, which keeps the store, waits for them to end."""


def launched() -> tuple[int, int] | None:
    """How many processes a node, and nodes, torchrun or SLURM's srun has started; ``None``: this one alone."""
    if TorchElasticEnvironment.detect():
        a_node = int(os.environ["LOCAL_WORLD_SIZE"])
        return a_node, int(os.environ["WORLD_SIZE"]) // a_node
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None


def join(flags: Mapping[str, Any] | None) -> Ranks:
    """Become one of the ranks that the Trainer's flags ask for; called by all of them, and again for nothing.

    Ranks are processes that torchrun or srun has started, or else that are started here, as a Trainer would start them:
    the command is run again by each.

    Args:
        flags: of the Trainer; ``accelerator``, ``devices`` and ``num_nodes`` count.

    Returns:
        the ranks; :data:`ALONE` where there is one.

    Raises:
        UserError: flags that this machine cannot serve.
    """
    group = ranks_of_group()
    if group.size > 1:
        return group
    given = {k: v for k, v in (flags or {}).items() if k in ("accelerator", "devices", "num_nodes") and v is not None}
    with one_line_refusals():
        fabric = Fabric(**given)
    if fabric.world_size == 1:
        return ALONE
    devices = len(getattr(fabric.strategy, "parallel_devices", None) or [0])
    if launched() is None and "LOCAL_RANK" not in os.environ:  # this process starts the others
        cores = workers()
        if isinstance(fabric.accelerator, CPUAccelerator) and devices > cores:
            raise UserError(
                f"--trainer.devices {devices}: on a CPU at most one process a core, of which it has {cores}"
            )
    os.environ.setdefault("LOCAL_WORLD_SIZE", str(devices))  # torchrun sets it: by it processes share the cores
    fabric.launch()
    return ranks_of_group()


class Alarm(threading.Thread):
    """Watches for ranks that fail and ends this one then, wherever it is waiting.

    Attributes:
        of_this_process: that of the command, if it has several ranks; whoever begins it ends it, or ranks that outlive
            rank 0 would take its end for a failure.
    """

    of_this_process: "Alarm | None" = None

    def __init__(self, ranks: Ranks) -> None:
        super().__init__(daemon=True, name="alarm")
        self.ranks = ranks
        where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self.store = TCPStore(*where, is_master=False, timeout=timedelta(seconds=PATIENCE))
        self.ending = threading.Event()
        self.start()

    def run(self) -> None:
        """Leave the process as soon as another rank has failed, or the store went away with rank 0."""
        while not self.ending.wait(POLL):
            try:
                failed = self.store.check([FAILED])
            except RuntimeError:
                failed = not self.ending.is_set()
            if failed:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(2)

    def ring(self) -> bool:
        """Tell the others that this rank has failed; whether it is the first, which says why."""
        self.ending.set()
        try:
            return bool(self.store.compare_set(FAILED, "", str(self.ranks.rank)) == str(self.ranks.rank).encode())
        except RuntimeError:
            return False

    def end(self) -> None:
        """This rank has done its part; rank 0 leaves last."""
        self.ending.set()
        try:
            done = self.store.add(ENDED, 1)
            waited = time.monotonic()
            while self.ranks.rank == 0 and done < self.ranks.size and time.monotonic() - waited < PATIENCE:
                if self.store.check([FAILED]):
                    os._exit(2)
                time.sleep(POLL / 10)
                done = self.store.add(ENDED, 0)
        except RuntimeError:
            pass
