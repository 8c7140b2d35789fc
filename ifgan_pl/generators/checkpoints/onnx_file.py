"""Read the nodes and constants of an ONNX file without ONNX: its protocol-buffer fields, and nothing else.

Only what is needed here: a flat graph, constants in ``raw_data``, attributes that are numbers.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError

GRAPH, NODES, CONSTANTS = 7, 1, 5
INPUTS, OUTPUTS, KIND, ATTRIBUTES = 1, 2, 4, 5
ATTRIBUTE_NAME, FLOAT, INTEGER, INTEGERS = 1, 2, 3, 8
DIMS, DTYPE, FLOATS, NAME, RAW = 1, 2, 4, 8, 9
"""Numbers of the fields in ONNX's ModelProto, GraphProto, NodeProto, AttributeProto and TensorProto."""
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("u1"), 3: np.dtype("i1"), 6: np.dtype("<i4")}
DTYPES |= {7: np.dtype("<i8")}


@dataclass(frozen=True)
class Node:
    """One operation: its type, the names of its inputs and outputs, its attributes that are numbers."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, list[float]]


class OnnxGraph:
    """The operations of an ONNX file in its order, and its constants by name.

    Args:
        data: the bytes of the file.

    Raises:
        UserError: they are not of an ONNX file.
    """

    def __init__(self, data: bytes) -> None:
        try:
            graph = next(value for number, value in fields(memoryview(data)) if number == GRAPH)
            parts = list(fields(graph))
            self.nodes = [_node(value) for number, value in parts if number == NODES]
            self.constants = dict(_constant(value) for number, value in parts if number == CONSTANTS)
        except (StopIteration, IndexError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"not an ONNX file, or one of an unknown kind ({error!r})") from None


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol-buffer message: their numbers, and an integer or the bytes of each."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind, -1)
        if kind == 2:
            size, place = _varint(message, place)
        if size < 0 or place + size > len(message):
            raise ValueError("a field that is cut short or of an unknown type")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _integers(value: int | memoryview) -> list[int]:
    """A repeated integer field: one value, or several packed."""
    if isinstance(value, int):
        return [value]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(number)
    return found


def _numbers(number: int, value: Any) -> list[float]:
    """The numbers in a field of an attribute; [] where it holds something else."""
    if number == FLOAT:
        return [struct.unpack("<f", value)[0]]
    return list(_integers(value)) if number in (INTEGER, INTEGERS) else []


def _node(message: memoryview) -> Node:
    names: dict[int, list[str]] = {INPUTS: [], OUTPUTS: [], KIND: []}
    attributes: dict[str, list[float]] = {}
    for number, value in fields(message):
        if number in names:
            names[number].append(bytes(value).decode())
        elif number == ATTRIBUTES:
            parts = list(fields(value))
            name = next(bytes(v).decode() for n, v in parts if n == ATTRIBUTE_NAME)
            attributes[name] = [x for n, v in parts for x in _numbers(n, v)]
    return Node(names[KIND][0], tuple(names[INPUTS]), tuple(names[OUTPUTS]), attributes)


def _constant(message: memoryview) -> tuple[str, Tensor]:
    dims: list[int] = []
    name, dtype, raw = "", np.dtype("<f4"), memoryview(b"")
    for number, value in fields(message):
        if number == DIMS:
            dims += _integers(value)
        elif number == DTYPE:
            dtype = DTYPES[value]
        elif number in (RAW, FLOATS):
            raw = value
        elif number == NAME:
            name = bytes(value).decode()
    return name, torch.from_numpy(np.frombuffer(raw, dtype).reshape(dims).copy())
