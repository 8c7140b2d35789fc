"""Checkpoints on a disk that is full."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.core.checkpoint_io import AtomicCheckpointIO
from ifgan_pl.core.errors import UserError


def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, path = AtomicCheckpointIO(), tmp_path / "new" / "last.ckpt"
    writer.save_checkpoint({"epoch": 1}, path)
    whole = path.read_bytes()

    def full(checkpoint: dict[str, Any], file: Path) -> None:
        assert file.parent == path.parent  # a move within the file system
        file.write_bytes(whole[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="the disk is full"):
        writer.save_checkpoint({"epoch": 2}, path)
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]
