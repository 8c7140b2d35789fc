"""Files that stand alone: safetensors with one JSON metadata key, written atomically, identified by a digest.

Nothing here can run code from a file. Metadata is ONE key, ``ifgan_pl`` = sorted JSON, because safetensors writes
several keys in random order; no timestamps and no absolute paths, so equal content gives equal bytes.
"""

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ifgan_pl.core.errors import UserError

METADATA_KEY = "ifgan_pl"


FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit of a file's size is reached",
}
FULL_ELSEWHERE = re.compile(r"PytorchStreamWriter failed|unexpected pos \d+ vs|\d+ requested and \d+ written")
"""How libraries say so that keep no error number: PyTorch, NumPy."""


def disk_full(error: BaseException) -> str | None:
    """Why nothing more could be written, and what to do; ``None``: that is not what caused the error."""
    link: BaseException | None = error
    while link is not None:
        number = (link.errno or 0) if isinstance(link, OSError) else 0
        if found := re.search(r"\(os error (\d+)\)", str(link)):  # safetensors
            number = int(found[1])
        if number in FULL or FULL_ELSEWHERE.search(str(link)):
            why = FULL.get(number, "the disk may be full")
            return f"{why}; make room and run the same command again (edit.py and scorer: with --resume)"
        link = link.__cause__ or link.__context__
    return None


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success fsync it and move it into place, on failure remove it.

    Raises:
        UserError: the disk is full.
    """
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except Exception as error:
        if isinstance(error, UserError) or (reason := disk_full(error)) is None:
            raise
        raise UserError(f"{path} cannot be written: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write sorted, indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able metadata as one safetensors file, atomically and byte-reproducibly."""
    flat = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    text = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False)
    write_bytes(path, save(flat, {METADATA_KEY: text}))


@contextmanager
def open_tensors(path: str | Path) -> Iterator[Any]:
    """A safetensors file, open for reading (``safetensors.safe_open``).

    Raises:
        UserError: the file is missing, truncated, or not safetensors.
    """
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise UserError(f"{path} is not a readable safetensors file ({error}); delete it and make it again") from None


def load_tensors(path: str | Path, names: Sequence[str] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`save_tensors`: its tensors on the CPU, and its metadata ({} for a foreign file).

    Args:
        path: of the file.
        names: tensors to read; ``None``: all.

    Raises:
        UserError: the file is missing, truncated, or not safetensors.
    """
    with open_tensors(path) as file:
        metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
        return {name: file.get_tensor(name) for name in names or file.keys()}, metadata


def file_digest(path: str | Path) -> str:
    """sha256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def json_digest(value: Any) -> str:
    """sha256 of a JSON-able value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two records, as ``key old -> new``."""
    return [f"{k} {old.get(k)} -> {new.get(k)}" for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
