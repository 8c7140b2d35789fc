"""What the ranks of a process group tell each other; a process without a group is the only rank."""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")
Reduce = Callable[[Tensor], Tensor]
"""Sums a float64 tensor over ranks."""


def has_process_group() -> bool:
    """Whether this process belongs to a group of processes that talk to each other."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Of this process; 0 without a group."""
    return dist.get_rank() if has_process_group() else 0


def world_size() -> int:
    """How many ranks there are; 1 without a group."""
    return dist.get_world_size() if has_process_group() else 1


def sum_over_ranks(value: Tensor) -> Tensor:
    """Sum over the ranks, where ``value`` lies."""
    if world_size() == 1:
        return value
    # a copy: the caller keeps its share; NCCL sums on GPUs only
    shared = value.to("cuda" if dist.get_backend() == "nccl" else value.device, copy=True).contiguous()
    dist.all_reduce(shared)
    return shared.to(value.device)


def gather(item: Item) -> list[Item]:
    """The items of all ranks, in their order; any that can be pickled."""
    if world_size() == 1:
        return [item]
    items = [item] * world_size()
    dist.all_gather_object(items, item)
    return items


def gather_rows(rows: Tensor) -> tuple[Tensor, slice]:
    """The rows (n, …) of all ranks, and which of them are this rank's; ``rows`` lie on the CPU."""
    parts = gather(rows.numpy())
    if len(parts) == 1:
        return rows, slice(0, len(rows))
    start = sum(len(part) for part in parts[: rank()])
    return torch.cat([torch.from_numpy(part) for part in parts]), slice(start, start + len(rows))
