"""Which rows a rank sees."""

import pytest

from ifgan_pl.data.samplers import EpochSampler, PaddedSampler


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_an_epoch_without_repeats(ranks):
    samplers = [EpochSampler(23, num_replicas=ranks, rank=r, seed=5) for r in range(ranks)]
    orders = []
    for epoch in (0, 1):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        shares = [list(s) for s in samplers]
        assert {len(s) for s in shares} == {23 // ranks}
        order = [i for group in zip(*shares, strict=True) for i in group]
        assert len(set(order)) == len(order)
        orders.append(order)
    assert orders[0] != orders[1]
    single = EpochSampler(23, seed=5)
    single.set_epoch(1)
    assert list(single)[: len(orders[1])] == orders[1]


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_evaluation_sees_every_row_once_and_pads_with_minus_one(ranks):
    shares = [list(PaddedSampler(23, num_replicas=ranks, rank=r)) for r in range(ranks)]
    assert len({len(s) for s in shares}) == 1
    seen = [i for share in shares for i in share]
    assert sorted(i for i in seen if i >= 0) == list(range(23))
    assert seen.count(-1) == -23 % ranks
