"""Which rows a rank sees: each training row at most once an epoch, each other row exactly once."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, DistributedSampler


class Count(Dataset[int]):
    """A data set of ``count`` items that are never fetched; the samplers ask it for its length."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


class EpochSampler(DistributedSampler[int]):
    """A permutation that is a function of (seed, epoch), dealt out to ranks; what does not divide is dropped."""

    def __init__(self, count: int, *, num_replicas: int = 1, rank: int = 0, seed: int = 0) -> None:
        super().__init__(Count(count), num_replicas, rank, shuffle=True, seed=seed, drop_last=True)
        self.count = count

    def __iter__(self) -> Iterator[int]:
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, self.epoch]))
        order = generator.permutation(self.count)[: len(self) * self.num_replicas]
        return iter(order[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        return self.count // self.num_replicas


class PaddedSampler(DistributedSampler[int]):
    """Positions in order, dealt out to ranks; short ranks are padded with -1, so that none waits for another."""

    def __init__(self, count: int, *, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(Count(count), num_replicas, rank, shuffle=False)
        self.count = count

    def __iter__(self) -> Iterator[int]:
        mine = range(self.rank, self.count, self.num_replicas)
        return iter([*mine, *[-1] * (len(self) - len(mine))])

    def __len__(self) -> int:
        return -(-self.count // self.num_replicas)
