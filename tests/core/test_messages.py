import pytest
from pytorch_lightning.utilities import rank_zero_only

from ifgan_pl.core.messages import is_rank_zero, say


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_speaks_for_all(
    rank: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", rank, raising=False)
    say("once")
    assert is_rank_zero() == (rank == 0)
    assert capsys.readouterr().out == ("once\n" if rank == 0 else "")


def test_before_ranks_are_known_this_process_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(rank_zero_only, "rank", raising=False)
    assert is_rank_zero()
