"""The ranks that compute one result together: what they sum and tell each other, only where they are asked to.

A function that reduces over ranks takes ``ranks`` (or the sum alone, ``reduce``) and by default works alone, whatever
process group exists: what one rank does by itself cannot wait for another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")
Reduce = Callable[[Tensor], Tensor]
"""Sums a tensor over ranks."""


@dataclass(frozen=True)
class Ranks:
    """Processes that work together, as one of them sees it; every method but :meth:`share` is called by all.

    Attributes:
        rank: of this process.
        size: how many there are; with one, nothing here communicates.
    """

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> range:
        """This rank's part of ``count`` items: a run of consecutive ones, in the order of the ranks."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, value: Tensor) -> Tensor:
        """Sum over the ranks, on the device of ``value``, which keeps this rank's share."""
        if self.size == 1:
            return value
        # NCCL sums on GPUs only
        shared = value.to("cuda" if dist.get_backend() == "nccl" else value.device, copy=True).contiguous()
        dist.all_reduce(shared)
        return shared.to(value.device)

    def gather(self, item: Item) -> list[Item]:
        """The items of all ranks, in their order; any that can be pickled."""
        if self.size == 1:
            return [item]
        items = [item] * self.size
        dist.all_gather_object(items, item)
        return items

    def gather_rows(self, rows: Tensor) -> tuple[Tensor, slice]:
        """The rows (n, …) of all ranks, on the CPU, and which of them are this rank's."""
        rows = rows.cpu()
        if self.size == 1:
            return rows, slice(0, len(rows))
        parts = self.gather(rows.numpy())
        start = sum(len(part) for part in parts[: self.rank])
        return torch.cat([torch.from_numpy(part) for part in parts]), slice(start, start + len(rows))

    def first(self, make: Callable[[], Item]) -> Item:
        """What the first rank makes, for all; the others wait for it."""
        return self.gather(make() if self.rank == 0 else cast("Item", None))[0]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.gather(None)


ALONE = Ranks()
"""This process by itself."""


def alone(value: Tensor) -> Tensor:
    """The sum over one rank."""
    return value


def ranks_of_group() -> Ranks:
    """All ranks of the process group; :data:`ALONE` where there is none."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return ALONE
