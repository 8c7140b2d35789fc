"""The nodes and constants of an ONNX file, written here field by field."""

import struct

import numpy as np
import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.checkpoints.onnx_file import Node, OnnxGraph


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, value: int | float | bytes) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def constant(name: bytes, dtype: int, dims: bytes, raw: bytes) -> bytes:
    return field(5, dims + field(2, dtype) + field(8, name) + field(9, raw))


WEIGHTS = np.arange(600, dtype="<f4")
INTEGERS = field(5, field(1, b"pads") + field(8, 1) + field(8, 300) + field(20, 7))
PACKED = field(5, field(1, b"strides") + field(8, varint(2) + varint(200)))
EPSILON = field(5, field(1, b"epsilon") + field(2, 0.25))
CONV = field(1, field(1, b"x") + field(1, b"w") + field(2, b"y") + field(4, b"Conv") + INTEGERS + PACKED + EPSILON)
GRAPH = CONV + constant(b"w", 1, field(1, 200) + field(1, 3), WEIGHTS.tobytes())
GRAPH += constant(b"q", 3, field(1, varint(2) + varint(2)), np.array([-3, 2, 1, 0], "i1").tobytes())
MODEL = field(1, 8) + field(2, b"nobody") + field(7, GRAPH)


def test_nodes_and_constants() -> None:
    graph = OnnxGraph(MODEL)
    numbers: dict[str, list[float]] = {"pads": [1, 300], "strides": [2, 200], "epsilon": [0.25]}
    assert graph.nodes == [Node("Conv", ("x", "w"), ("y",), numbers)]
    assert torch.equal(graph.constants["w"], torch.from_numpy(WEIGHTS.reshape(200, 3).copy()))
    assert torch.equal(graph.constants["q"], torch.tensor([[-3, 2], [1, 0]], dtype=torch.int8))


@pytest.mark.parametrize("data", [b"", MODEL[:-7], field(1, 8), b"\x89PNG\r\n\x1a\n" * 9], ids=str)
def test_what_is_no_onnx_file_is_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match="not an ONNX file"):
        OnnxGraph(data)
