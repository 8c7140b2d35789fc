"""Pickles that try to run code: refused with a clear line, and nothing runs."""

import collections
import io
import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.checkpoints import formats, safe_pickle
from tests.generators import files


class Call:
    """Pickles as a call of ``function`` with ``arguments``, as a hostile ``__reduce__`` does."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def string(text: str) -> bytes:
    """The opcode that pushes a string."""
    data = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def glob(module: str, name: str) -> bytes:
    """The opcode that pushes a global."""
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def storage_bytes(value: Any) -> bytes:
    """What ``torch.storage._load_from_bytes`` receives: a file of its own inside the pickle."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def reduce(function: bytes, *arguments: bytes) -> bytes:
    """A call by opcodes."""
    return function + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def bytes_(data: bytes) -> bytes:
    return pickle.BINBYTES + struct.pack("<I", len(data)) + data


PROTO, STOP = b"\x80\x03", pickle.STOP
RECONSTRUCT = ("torch_utils.persistence", "_reconstruct_persistent_obj")


def hostile(touch: str) -> dict[str, tuple[bytes, str]]:
    """A file a trick: its bytes and what the refusal names; each would run the command ``touch`` if it were obeyed."""
    network = files.Persistent("Generator", _buffers={"w": Call(os.system, touch)})
    hooked = files.Persistent("Generator", _forward_hooks={0: Call(exec, f"import os; os.system({touch!r})")})
    with files.stand_ins():
        nested = pickle.dumps({"G_ema": network})
        hook = pickle.dumps({"G_ema": hooked})
    system = reduce(glob("os", "system"), string(touch))
    persistent = reduce(glob(*RECONSTRUCT), string(touch))
    patched = glob("torch_utils.persistence", "_reconstruct_persistent_obj") + pickle.EMPTY_DICT
    patched += string("__call__") + glob("os", "system") + pickle.SETITEM + pickle.BUILD
    slots = glob("torch._utils", "_rebuild_parameter") + pickle.NONE + pickle.EMPTY_DICT + string("_function")
    slots += glob("builtins", "set") + pickle.SETITEM + pickle.TUPLE2 + pickle.BUILD
    tensor = reduce(glob("torch.storage", "_load_from_bytes"), bytes_(storage_bytes(torch.ones(2)._typed_storage())))
    size = pickle.MARK + b"K\x40" + pickle.TUPLE, pickle.MARK + b"K\x01" + pickle.TUPLE
    beyond = reduce(glob("torch._utils", "_rebuild_tensor_v2"), tensor, b"K\x00", *size)
    return {
        "os.system": (pickle.dumps(Call(os.system, touch)), "posix.system"),
        "eval": (pickle.dumps(Call(eval, f"__import__('os').system({touch!r})")), "builtins.eval"),
        "exec in the state of a network": (hook, "builtins.exec"),
        "os.system among the buffers of a network": (nested, "posix.system"),
        "getattr": (pickle.dumps(Call(getattr, "", "format")), "builtins.getattr"),
        "__import__": (pickle.dumps(Call(__import__, "os")), "builtins.__import__"),
        "subprocess": (
            PROTO + reduce(glob("subprocess", "check_output"), string(touch)) + STOP,
            "subprocess.check_output",
        ),
        "a dotted name": (b"\x80\x04" + string("numpy") + string("ndarray.tofile") + b"\x93" + STOP, "ndarray.tofile"),
        "STACK_GLOBAL": (
            b"\x80\x04" + string("os") + string("system") + b"\x93" + string(touch) + b"\x85R.",
            "os.system",
        ),
        "INST": (PROTO + pickle.MARK + string(touch) + pickle.INST + b"os\nsystem\n" + STOP, "os.system"),
        "OBJ": (PROTO + pickle.MARK + glob("os", "system") + string(touch) + pickle.OBJ + STOP, "os.system"),
        "a renamed module": (
            PROTO + reduce(glob("torch_utils.persistence.os", "system"), string(touch)) + STOP,
            "system",
        ),
        "torch.load": (PROTO + reduce(glob("torch", "load"), string("x")) + STOP, "torch.load"),
        "numpy.load": (PROTO + reduce(glob("numpy", "load"), string("x")) + STOP, "numpy.load"),
        "a persistent id": (PROTO + string(touch) + pickle.BINPERSID + STOP, "an object outside the file"),
        "a nested persistent object": (PROTO + system + pickle.POP + persistent + STOP, "os.system"),
        "a persistent object of another layout": (PROTO + persistent + STOP, "a persistent object of another layout"),
        "a function that is changed": (PROTO + patched + STOP, "os.system"),
        "a function's slots that are changed": (PROTO + slots + STOP, "changing a function"),
        "a pickle within a storage": (
            PROTO
            + reduce(glob("torch.storage", "_load_from_bytes"), bytes_(storage_bytes([Call(os.system, touch)])))
            + STOP,
            "posix.system|no complete network pickle",
        ),
        "a plain pickle as a storage": (
            PROTO
            + reduce(glob("torch.storage", "_load_from_bytes"), bytes_(pickle.dumps(Call(os.system, touch))))
            + STOP,
            "no complete network pickle",
        ),
        "a storage that is a tensor": (
            PROTO + reduce(glob("torch.storage", "_load_from_bytes"), bytes_(storage_bytes(torch.ones(2)))) + STOP,
            "a storage that is none",
        ),
        "a tensor beyond its storage": (PROTO + beyond + STOP, "a tensor beyond its storage"),
        "an object array": (
            PROTO + reduce(glob("numpy.core.multiarray", "scalar"), glob("numpy", "ndarray")) + STOP,
            "scalar",
        ),
        "collections.OrderedDict's relatives": (pickle.dumps(collections.Counter("a")), "collections.Counter"),
    }


def names() -> list[str]:
    return list(hostile("true"))


@pytest.mark.parametrize("name", names())
def test_hostile_files_are_refused_and_nothing_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "ran"
    data, reason = hostile(f"touch {mark}")[name]
    calls: list[Any] = []
    monkeypatch.setattr(os, "system", lambda *arguments: calls.append(arguments))
    (tmp_path / "network.pkl").write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        formats.load_file(tmp_path / "network.pkl")
    line = str(caught.value)
    assert "\n" not in line
    assert "network.pkl" in line
    assert not calls
    assert not mark.exists()


def test_the_hostile_files_do_run_where_pickle_obeys_them(tmp_path: Path) -> None:
    """The control: with Python's own loader the same bytes do what they say."""
    mark = tmp_path / "ran"
    for name in ("os.system", "STACK_GLOBAL", "INST", "eval"):
        pickle.loads(hostile(f"touch {mark}")[name][0])
        assert mark.exists()
        mark.unlink()


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pytorch_files_are_refused(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = {"g_ema": {"a": Call(os.system, f"touch {mark}")}}
    torch.save(content, tmp_path / "network.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        UserError, match=r"network\.pt: refused, nothing was run: the file asks for posix\.system"
    ) as caught:
        formats.load_file(tmp_path / "network.pt")
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_the_source_in_a_pickle_is_data(tmp_path: Path) -> None:
    """Each network brings Python source that would exit; it is neither run nor kept."""
    generator = files.nvidia_stylegan2(8, [8, 8], z_dim=8, w_dim=8, layers=1)
    path = files.write_nvidia(tmp_path / "network.pkl", generator)
    assert files.SOURCE.encode() in path.read_bytes()
    network = safe_pickle.load(path)["G_ema"]
    assert network.class_name == "Generator"
    assert {"mapping", "synthesis"} == network.children.keys()
    assert network.children["mapping"].state["num_layers"] == 1
    assert torch.equal(network.tensors()["mapping.fc0.weight"], files.fill("mapping.fc0.weight", (8, 8)))


def test_only_named_globals_are_admitted(tmp_path: Path) -> None:
    """What a real-format file asks for is within the list, and the list has nothing that could run anything."""
    path = files.write_nvidia(
        tmp_path / "n.pkl", files.nvidia_stylegan2(8, [8, 8], z_dim=8, w_dim=8, layers=1), protocol=3
    )
    asked = {str(arg) for op, arg, _ in pickletools.genops(path.read_bytes()) if op.name == "GLOBAL"}
    assert {tuple(name.split(" ")) for name in asked} <= safe_pickle.GLOBALS
    assert {module for module, _ in safe_pickle.GLOBALS} == {
        "torch_utils.persistence",
        "torch._utils",
        "torch.storage",
        "collections",
        "dnnlib",
        "dnnlib.util",
        "builtins",
        "numpy",
        "numpy.core.multiarray",
        "numpy._core.multiarray",
    }
    assert [name for module, name in safe_pickle.GLOBALS if module == "builtins"] == ["set"]


def test_a_network_that_contains_itself_is_refused(tmp_path: Path) -> None:
    generator = files.Persistent("Generator", _modules={})
    for name in ("mapping", "synthesis"):
        child = files.Persistent("Network")
        child.state["_modules"] = {"again": child.state}
        generator.state["_modules"][name] = child
    with pytest.raises(UserError, match=r"n\.pkl"):
        formats.load_file(files.write_nvidia(tmp_path / "n.pkl", generator))
