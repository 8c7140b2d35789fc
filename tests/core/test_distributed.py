"""What ranks sum and tell each other: only where they are asked to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ifgan_pl.core.distributed import ALONE, Ranks, alone, ranks_of_group
from tests.processes import environment


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_shares_are_runs_that_cover_everything_once(count: int, size: int) -> None:
    shares = [Ranks(rank, size).share(count) for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_rank_keeps_what_it_has() -> None:
    value = torch.arange(3.0)
    assert ranks_of_group() == ALONE == Ranks()
    assert ALONE.sum(value) is value
    assert alone(value) is value
    assert ALONE.gather("a") == ["a"]
    assert ALONE.first(lambda: "b") == "b"
    rows, own = ALONE.gather_rows(value)
    assert torch.equal(rows, value)
    assert own == slice(0, 3)
    ALONE.barrier()


RANK = """
import json, sys
import torch
import torch.distributed as dist
from ifgan_pl.core.distributed import ALONE, ranks_of_group

rank = int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
ranks = ranks_of_group()
if rank == 0:
    assert ALONE.sum(torch.ones(1)) == 1  # the other is not asked, and does not wait
value = torch.arange(6.0).reshape(2, 3)[:, ::2] + rank  # no contiguous memory
total = ranks.sum(value)
rows, own = ranks.gather_rows(torch.full((2 * rank + 1, 2), float(rank)))
found = {"sum": total.tolist(), "kept": value.tolist(), "items": ranks.gather({"rank": rank})}
found["made"] = ranks.first(lambda: f"by {rank}")
ranks.barrier()
print(json.dumps(found | {"rows": rows[:, 0].tolist(), "own": [own.start, own.stop]}))
dist.destroy_process_group()
"""


def test_two_ranks_find_the_same_and_keep_their_share(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path / "store"), str(rank)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (json.loads(process.communicate(timeout=120)[0]) for process in started)
    for name in ("sum", "items", "rows", "made"):
        assert first[name] == second[name]
    assert first["sum"] == [[1, 5], [7, 11]]
    assert first["kept"] == [[0, 2], [3, 5]]
    assert first["items"] == [{"rank": 0}, {"rank": 1}]
    assert first["rows"] == [0, 1, 1, 1]
    assert first["made"] == "by 0"
    assert (first["own"], second["own"]) == ([0, 1], [1, 4])
