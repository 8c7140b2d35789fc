"""Files that stand alone: whole or not there, equal bytes for equal content, and nothing in them that runs."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import (
    METADATA_KEY,
    atomic_path,
    changed,
    disk_full,
    file_digest,
    json_digest,
    load_tensors,
    save_tensors,
    tensors_digest,
    write_bytes,
    write_json,
    write_text,
)
from ifgan_pl.images.write import save_image
from tests.commands import file_size_limit

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, 2], dtype=torch.int64)}
METADATA = {"name": "ñ", "list": [1, 2.5, None], "nested": {"z": 1, "a": 2}}


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_file_is_not_seen_before_it_is_whole_and_keeps_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"  # image libraries choose the format by it
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", TENSORS, METADATA)
    tensors, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in TENSORS.items())
    save_tensors(tmp_path / "view.safetensors", {"t": TENSORS["b"].T}, {})
    assert torch.equal(load_tensors(tmp_path / "view.safetensors")[0]["t"], TENSORS["b"].T)


def test_equal_content_has_equal_bytes_under_one_key(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", TENSORS, METADATA)
    turned = dict(reversed(TENSORS.items()))
    save_tensors(tmp_path / "b.safetensors", turned, dict(reversed(METADATA.items())))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert list(file.metadata()) == [METADATA_KEY]
        assert json.loads(file.metadata()[METADATA_KEY]) == METADATA


def test_a_file_from_elsewhere_has_no_metadata(tmp_path: Path) -> None:
    save_file({"t": torch.ones(1)}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    assert load_tensors(tmp_path / "a.safetensors")[1] == {}


@pytest.mark.parametrize("content", [b"", b"no tensors", "torn", "altered metadata"])
def test_damage_is_one_line_that_says_what_to_do(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "torn":
        save_tensors(path, TENSORS, METADATA)
        path.write_bytes(path.read_bytes()[:-3])
    else:
        save_file({"t": torch.ones(1)}, path, metadata={METADATA_KEY: "{"})
    with pytest.raises(UserError, match=r"a\.safetensors is not a readable safetensors file .* make it again"):
        load_tensors(path)
    with pytest.raises(UserError, match="no such file"):
        load_tensors(tmp_path / "absent.safetensors")


def test_json_is_for_people_and_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "ñ", "a": [1]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": [\n    1\n  ],\n  "b": "ñ"\n}\n'


def test_digests_tell_what_differs() -> None:
    turned = dict(reversed(TENSORS.items()))
    assert tensors_digest(turned) == tensors_digest(TENSORS)
    for other in (
        {**TENSORS, "a": TENSORS["a"].int()},
        {**TENSORS, "b": TENSORS["b"].reshape(3, 2)},
        {**TENSORS, "b": TENSORS["b"] + 1},
        {"c": TENSORS["a"], "b": TENSORS["b"]},
    ):
        assert tensors_digest(other) != tensors_digest(TENSORS)
    assert tensors_digest({"t": TENSORS["b"].T}) == tensors_digest({"t": TENSORS["b"].T.contiguous()})
    assert json_digest({"a": 1, "b": [2]}) == json_digest({"b": [2], "a": 1}) != json_digest({"a": 1, "b": [3]})


def test_a_file_s_digest_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_differences_of_two_records_are_named() -> None:
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ["b 2 -> 3", "c None -> 4"]
    assert changed({"a": 1}, {"a": 1}) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_bytes(path, bytes(9000)),
        lambda path: save_tensors(path, {"a": torch.zeros(9000)}, {}),
        lambda path: save_image(path.with_suffix(".png"), NOISE, {}),
        lambda path: save_image(path.with_suffix(".jpg"), NOISE, {}),
    ],
    ids=["bytes", "tensors", "png", "jpg"],
)
def test_a_full_disk_is_an_error_of_the_user_and_leaves_nothing(tmp_path: Path, write: Callable[[Path], None]) -> None:
    said = r"/a\S* cannot be written: the limit of a file's size is reached; make room and run the same command again"
    with file_size_limit(4), pytest.raises(UserError, match=said):
        write(tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save(torch.zeros(9000), path),
        lambda path: safetensors.torch.save_file({"a": torch.zeros(9000)}, path),
        lambda path: np.save(path, np.zeros(9000)),
        lambda path: Image.fromarray(NOISE).save(path.with_suffix(".png")),
        lambda path: path.write_text("x" * 9000),
    ],
    ids=["torch", "safetensors", "numpy", "pillow", "python"],
)
def test_a_full_disk_is_recognised_whoever_writes(tmp_path: Path, write: Callable[[Path], None]) -> None:
    errors: list[BaseException] = []
    with file_size_limit(4):
        try:
            write(tmp_path / "a.npy")
        except Exception as error:
            errors.append(error)
    assert ["make room" in (disk_full(error) or "") for error in errors] == [True]


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota")])
def test_a_full_disk_is_found_behind_other_errors(number: int, expected: str) -> None:
    error = RuntimeError("a checkpoint could not be saved")
    error.__cause__ = OSError(number, "no")
    assert expected in (disk_full(error) or "")


def test_other_errors_are_no_full_disk() -> None:
    for error in (OSError(errno.EACCES, "no"), RuntimeError("shape mismatch"), KeyError("a"), UserError("b")):
        assert disk_full(error) is None
