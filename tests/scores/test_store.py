from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.scores.store import ScoreStore

INPUTS = {"seed": 0, "generator": "abc"}
NUMERICS = {"device": "this"}


def store(root: Path, **changes: object) -> ScoreStore:
    options: dict[str, Any] = {"num": 10, "inputs": INPUTS, "numerics": NUMERICS, "block_size": 4}
    return ScoreStore(root, **(options | changes))


def fill(s: ScoreStore) -> None:
    for block in s.missing()[0]:
        rows = torch.arange(block.start, block.stop, dtype=torch.float32)[:, None]
        s.write(block, rows.expand(-1, 3), rows)


def test_it_is_complete_when_every_block_is_there(tmp_path: Path) -> None:
    s = store(tmp_path / "s")
    s.begin()
    with pytest.raises(UserError, match="3 of 3 blocks are missing"):
        s.load()
    fill(s)
    latents, scores = ScoreStore.open(tmp_path / "s").load()
    assert scores[:, 0].tolist() == list(range(10))
    assert latents.shape == (10, 3)


@pytest.mark.parametrize("damage", ["altered", "torn"])
def test_a_damaged_block_is_named_and_redone(tmp_path: Path, damage: str) -> None:
    s = store(tmp_path / "s")
    s.begin()
    fill(s)
    path = s.path(s.blocks()[1])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data if damage == "altered" else data[:-5]))
    todo, notes = s.missing()
    assert todo == [range(4, 8)]
    assert path.name in notes[0]


def test_other_inputs_are_refused_and_named(tmp_path: Path) -> None:
    store(tmp_path / "s").begin()
    with pytest.raises(UserError, match="seed 0 -> 1"):
        store(tmp_path / "s", inputs={**INPUTS, "seed": 1}).begin()
    with pytest.raises(UserError, match="device this -> that"):
        store(tmp_path / "s", numerics={"device": "that"}).begin()
    assert store(tmp_path / "s", numerics={"device": "that"}).begin(allow_numerics_change=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UserError, match="not empty"):
        store(tmp_path / "other").begin()


def test_it_grows(tmp_path: Path) -> None:
    s = store(tmp_path / "s")
    s.begin()
    fill(s)
    grown = store(tmp_path / "s", num=13)
    grown.begin()
    assert grown.missing()[0] == [range(8, 12), range(12, 13)]


def test_ranks_share_its_blocks(tmp_path: Path) -> None:
    s = store(tmp_path / "s", inputs=INPUTS | {"attributes": ["a"]})
    s.begin()
    fill(s)
    codes, scores = s.load()
    for size in (1, 2, 5):
        shares = [s.load(Ranks(rank, size)) for rank in range(size)]
        assert torch.equal(torch.cat([part for part, _ in shares]), codes)
        assert torch.equal(torch.cat([part for _, part in shares]), scores)
        assert all(len(part) in (0, 2, 4, 6, 8, 10) for part, _ in shares)  # whole blocks
        streams = [s.stream(Ranks(rank, size)) for rank in range(size)]
        assert torch.equal(torch.cat([part[0 : len(part)] for part, _ in streams]), codes)
        assert torch.equal(torch.cat([part for _, part in streams]), scores)


def test_streamed_codes_are_sliced_over_blocks(tmp_path: Path) -> None:
    s = store(tmp_path / "s", inputs=INPUTS | {"attributes": ["a"]})
    s.begin()
    for block in s.missing()[0]:
        rows = torch.arange(block.start, block.stop, dtype=torch.float32)
        s.write(
            block, rows[:, None, None] + torch.arange(3.0)[None, :, None] / 10 + torch.zeros(1, 3, 2), rows[:, None]
        )
    codes, _ = s.stream(layers=[0, 2])
    assert codes.shape == (10, 4)
    assert codes[3:9][:, 0].tolist() == [3, 4, 5, 6, 7, 8]
    torch.testing.assert_close(codes[9:12], torch.tensor([[9.0, 9.0, 9.2, 9.2]]))
    assert len(codes[4:4]) == 0
