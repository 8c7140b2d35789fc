"""Read NVIDIA's network pickles without running anything that they bring.

``stylegan2-ada-pytorch`` and ``stylegan3`` pickle whole networks together with their Python source, and the official
loader executes that source (``torch_utils.persistence``). Here a pickle reaches only the callables of
:data:`GLOBALS`, by exact (module, name): networks become :class:`Network` records of what they held, tensors are
rebuilt from storages read with ``weights_only=True``, numpy arrays stay inert, and any other name is refused.
"""

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError


class Refused(Exception):
    """The pickle asks for something that a network file has no need of."""


class Held:
    """A tensor or a storage that the pickle can pass on, and can neither call nor change."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("an object whose state is set from outside")


class Network:
    """A module as the pickle describes it: the name of its class, and its attributes as data."""

    __slots__ = ("class_name", "state")

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.class_name = class_name
        self.state = state

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("an object whose state is set from outside")

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """Keyword arguments with which the module was constructed."""
        return dict(self.state.get("_init_kwargs", {}))

    @property
    def children(self) -> dict[str, "Network"]:
        """Submodules by name; modules of PyTorch's own classes are not in NVIDIA's generators."""
        return {k: v for k, v in self.state.get("_modules", {}).items() if isinstance(v, Network)}

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and buffers under their dotted names, as in ``state_dict()``."""
        found = {
            prefix + name: held.value
            for part in ("_parameters", "_buffers")
            for name, held in self.state.get(part, {}).items()
            if isinstance(held, Held) and isinstance(held.value, Tensor)
        }
        for name, child in self.children.items():
            found |= child.tensors(f"{prefix}{name}.")
        return found


class _Inert:
    """Stands for a numpy array or dtype; keeps only the dtype's name."""

    __slots__ = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Allowed:
    """A callable that the pickle may call and can neither change nor look into."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise Refused("changing a function")

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("changing a function")


def _network(meta: dict[str, Any]) -> Network:
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("state"), dict):
        raise Refused("a persistent object of another layout")
    return Network(str(meta.get("class_name")), dict(meta["state"]))


def _storage(data: bytes) -> Held:
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.TypedStorage):
        raise Refused("a storage that is none")
    return Held(storage)


def _tensor(storage: Held, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Held:
    if not isinstance(storage, Held) or not isinstance(storage.value, torch.TypedStorage):
        raise Refused("a tensor without a storage")
    raw, dtype = storage.value._untyped_storage, storage.value.dtype
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min(offset, *size, *stride, 0) < 0 or (0 not in size and last >= raw.nbytes() // dtype.itemsize):
        raise Refused("a tensor beyond its storage")  # set_ would grow the storage
    return Held(torch.empty(0, dtype=dtype).set_(raw, offset, tuple(size), tuple(stride)))


def _parameter(data: Held, *_: object) -> Held:
    if not isinstance(data, Held) or not isinstance(data.value, Tensor):
        raise Refused("a parameter that is no tensor")
    return data


def _number(dtype: _Inert, data: bytes = b"") -> int | float | bool:
    if not isinstance(dtype, _Inert) or not re.fullmatch(r"[biuf][1248]", dtype.name):
        raise Refused("a numpy scalar that is no plain number")
    value: int | float | bool = np.frombuffer(data, np.dtype(f"<{dtype.name}"), 1)[0].item()
    return value


def _globals() -> dict[tuple[str, str], Any]:
    """New objects for every file: what one pickle does with them cannot reach the next."""
    table: dict[tuple[str, str], Any] = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Allowed(_network),
        ("torch._utils", "_rebuild_tensor_v2"): _Allowed(_tensor),
        ("torch._utils", "_rebuild_parameter"): _Allowed(_parameter),
        ("torch.storage", "_load_from_bytes"): _Allowed(_storage),
        ("collections", "OrderedDict"): dict,
        ("dnnlib.util", "EasyDict"): dict,
        ("dnnlib", "EasyDict"): dict,
        ("builtins", "set"): set,
        ("numpy", "ndarray"): _Inert(),
        ("numpy", "dtype"): _Allowed(lambda name, *_: _Inert(str(name))),
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        table[module, "scalar"] = _Allowed(_number)
        table[module, "_reconstruct"] = _Allowed(lambda *_: _Inert())
    return table


GLOBALS: frozenset[tuple[str, str]] = frozenset(_globals())
"""Every (module, name) that a file may ask for."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self._table = _globals()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._table[module, name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: object) -> NoReturn:
        raise Refused("an object outside the file")


def load(path: str | Path) -> Any:
    """The content of a network pickle: containers, numbers, tensors on the CPU and :class:`Network` records.

    Raises:
        UserError: the file asks for anything else (nothing has been run), is truncated, or is no pickle.
    """
    try:
        with open(path, "rb") as file:
            return _Unpickler(file).load()
    except Refused as refused:
        raise UserError(
            f"{path}: refused, nothing was run: the pickle asks for {refused}, which a network file has no need of"
        ) from None
    except Exception as error:  # damaged bytes may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{path} is no complete network pickle ({reason}); download it again") from None
