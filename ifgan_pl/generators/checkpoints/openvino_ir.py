"""Read the constants of an OpenVINO IR (XML graph beside a flat binary) without OpenVINO.

Only what ``ffhq-mobile`` needs: named constants, and the constants that feed a layer, in the order of the graph.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError

DTYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "i64": np.dtype("<i8"), "i32": np.dtype("<i4")}


@dataclass(frozen=True)
class Layer:
    """One node of the graph: its type, its name and the ids of the nodes that feed it."""

    kind: str
    name: str
    inputs: tuple[str, ...]


class Graph:
    """The nodes of an IR in file order, and the values of its constants.

    Args:
        xml, weights: the bytes of the two files.
    """

    def __init__(self, xml: bytes, weights: bytes) -> None:
        try:
            root = ElementTree.fromstring(xml)
        except ElementTree.ParseError as error:
            raise UserError(f"not an OpenVINO IR: {error}") from None
        sources = {(e.attrib["to-layer"], e.attrib["to-port"]): e.attrib["from-layer"] for e in root.iter("edge")}
        self.layers: dict[str, Layer] = {}
        self._constants: dict[str, Tensor] = {}
        for node in root.iterfind("layers/layer"):
            key = node.attrib["id"]
            ports = [port.attrib["id"] for port in node.iterfind("input/port")]
            self.layers[key] = Layer(node.attrib["type"], node.attrib["name"], tuple(sources[key, p] for p in ports))
            data = node.find("data")
            if node.attrib["type"] == "Const" and data is not None:
                shape = [int(s) for s in data.attrib["shape"].split(",") if s.strip()]
                dtype = DTYPES[data.attrib["element_type"]]
                count = int(data.attrib["size"]) // dtype.itemsize
                values = np.frombuffer(weights, dtype, count, int(data.attrib["offset"]))
                self._constants[key] = torch.from_numpy(values.reshape(shape).copy())

    def named(self, name: str) -> Tensor:
        """The constant of this name."""
        return next(v for k, v in self._constants.items() if self.layers[k].name == name)

    def inputs_of(self, kind: str) -> list[list[Tensor]]:
        """For each layer of this type, in graph order: the constants among its inputs."""
        return [
            [self._constants[i] for i in layer.inputs if i in self._constants]
            for layer in self.layers.values()
            if layer.kind == kind
        ]
