"""Micro-batches: their fixed size, the padding of the last one, and the order of the results."""

import pytest
import torch

from ifgan_pl.core.micro_batches import LARGE, map_micro_batches, micro_batch_size


def test_the_size_depends_on_the_device_and_the_resolution_alone() -> None:
    assert micro_batch_size(torch.device("cpu")) == micro_batch_size(torch.device("cpu"), 1024) == 1
    assert micro_batch_size(torch.device("cuda"), LARGE) == micro_batch_size(torch.device("cuda")) == 64
    assert micro_batch_size(torch.device("cuda"), LARGE + 1) == 16


def test_every_micro_batch_has_the_fixed_size_and_the_results_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ifgan_pl.core.micro_batches.micro_batch_size", lambda device, side: 4)
    sizes = []

    def double(piece: torch.Tensor) -> torch.Tensor:
        sizes.append(len(piece))
        return 2 * piece

    codes = torch.arange(20.0).reshape(10, 2)
    assert torch.equal(map_micro_batches(double, codes), 2 * codes)
    assert sizes == [4, 4, 4]
    assert torch.equal(map_micro_batches(double, codes[:1]), 2 * codes[:1])
    assert sizes[3:] == [4]


def test_no_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one code"):
        map_micro_batches(lambda codes: codes, torch.zeros(0, 3))
