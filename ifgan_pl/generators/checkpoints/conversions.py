"""From the weights of a published checkpoint to a family of this package, its configuration and its state dict.

Only names, orders of axes and orientations of kernels change: no value is rounded, so generators converted from
different copies of one network are equal bit for bit.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.checkpoints.safe_pickle import Network

SAFE_GLOBALS: list[Any] = [argparse.Namespace]
"""Classes beside tensors and containers that ``.pt`` files may hold: rosinality's training options."""


@dataclass(frozen=True)
class Converted:
    """What makes a generator of this package.

    Attributes:
        architecture: ``stylegan1``, ``stylegan2``, ``stylegan3`` or ``pggan``.
        config: keyword arguments of its class.
        tensors: its state dict; ``w_mean`` may be missing.
        name: of the generator, where the file has one.
    """

    architecture: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    name: str | None = None


def nvidia(content: Any) -> Converted:
    """The ``G_ema`` of a pickle of stylegan2-ada-pytorch or stylegan3."""
    network = content.get("G_ema") if isinstance(content, dict) else content
    if not isinstance(network, Network) or not {"mapping", "synthesis"} <= network.children.keys():
        raise UserError("the pickle holds no generator G_ema with a mapping and a synthesis network")
    mapping, synthesis = network.children["mapping"], network.children["synthesis"]
    tensors = {}
    for key, value in mapping.tensors().items():
        tensors["w_mean" if key == "w_avg" else re.sub(r"^(fc(\d+)|embed)\.", _mapping_name, key)] = value
    layers = [child for name, child in mapping.children.items() if name.startswith("fc")]
    activations = {layer.state["activation"] for layer in layers}
    config = {k: network.state[k] for k in ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")}
    config |= {"mapping_layers": len(layers), "lr_multiplier": float(layers[0].state["bias_gain"])}
    if "input" in synthesis.children:
        config |= _nvidia_stylegan3_config(synthesis)
        for key, value in synthesis.tensors().items():
            tensors[re.sub(r"^L(\d+)_\d+_\d+\.", r"layers.\1.", key)] = value
        converted = Converted("stylegan3", config, tensors)
    elif "b4" in synthesis.children:
        blocks = {int(k[1:]): block for k, block in synthesis.children.items() if k.startswith("b")}
        conv = blocks[4].children["conv1"].state
        activations |= {conv["activation"]}
        for key, value in synthesis.tensors().items():
            resolution, _, rest = key[1:].partition(".")
            if rest == "const":
                tensors["const"] = value
            elif not rest.endswith("resample_filter"):
                tensors[f"blocks.{int(resolution).bit_length() - 3}.{rest.replace('noise_const', 'noise')}"] = value
        tensors["fir"] = blocks[4].tensors()["resample_filter"]
        config |= {
            "channels": [len(tensors[f"blocks.{i}.conv1.bias"]) for i in range(len(blocks))],
            "mapping_dim": len(tensors["mapping_network.layers.0.bias"]),
            "embed_dim": len(tensors["mapping_network.embed.bias"]) if config["c_dim"] else None,
            "architecture": blocks[4].state["architecture"],
            "resample_filter": tensors["fir"].sum(dim=1).tolist(),
            "noise": bool(conv["use_noise"]),
            "clamp": conv["conv_clamp"],
            "half_resolutions": sum(bool(block.state["use_fp16"]) for block in blocks.values()),
        }
        converted = Converted("stylegan2", config, tensors)
    else:
        raise UserError("the synthesis network of the pickle is neither StyleGAN2's nor StyleGAN3's")
    if activations != {"lrelu"}:
        raise UserError(f"only leaky ReLU networks are implemented, the pickle has {sorted(activations)}")
    return converted


def _mapping_name(match: re.Match[str]) -> str:
    return f"mapping_network.layers.{match[2]}." if match[2] else "mapping_network.embed."


def _nvidia_stylegan3_config(synthesis: Network) -> dict[str, Any]:
    renamed = {"conv_clamp": "clamp", "num_fp16_res": "half_resolutions"}
    elsewhere = ("w_dim", "img_resolution", "img_channels", "magnitude_ema_beta")
    return {renamed.get(k, k): v for k, v in synthesis.init_kwargs.items() if k not in elsewhere}


def rosinality(state: Mapping[str, Tensor], latent_avg: Tensor | None) -> Converted:
    """The ``g_ema`` of rosinality's stylegan2-pytorch, and the ``latent_avg`` that its conversions carry."""
    tensors = {"const": state["input.input"][0]} | ({} if latent_avg is None else {"w_mean": latent_avg.flatten()})
    depth = sum(bool(re.fullmatch(r"style\.\d+\.weight", key)) for key in state)
    for i in range(depth):
        for part in ("weight", "bias"):
            tensors[f"mapping_network.layers.{i}.{part}"] = state[f"style.{i + 1}.{part}"]
    blocks = 1 + sum(bool(re.fullmatch(r"to_rgbs\.\d+\.bias", key)) for key in state)

    def modulated(target: str, source: str) -> None:
        tensors[f"{target}.weight"] = state[f"{source}.conv.weight"][0]
        for part in ("weight", "bias"):
            tensors[f"{target}.affine.{part}"] = state[f"{source}.conv.modulation.{part}"]

    def styled(target: str, source: str, noise: int) -> None:
        modulated(target, source)
        tensors[f"{target}.bias"] = state[f"{source}.activate.bias"]
        tensors[f"{target}.noise_strength"] = state[f"{source}.noise.weight"].reshape(())
        tensors[f"{target}.noise"] = state[f"noises.noise_{noise}"][0, 0]

    for i in range(blocks):
        if i:
            styled(f"blocks.{i}.conv0", f"convs.{2 * i - 2}", 2 * i - 1)
        styled(f"blocks.{i}.conv1", f"convs.{2 * i - 1}" if i else "conv1", 2 * i)
        rgb = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        modulated(f"blocks.{i}.torgb", rgb)
        tensors[f"blocks.{i}.torgb.bias"] = state[f"{rgb}.bias"].flatten()
    return _stylegan2(tensors, blocks, depth)


def genforce_stylegan2(state: Mapping[str, Tensor]) -> Converted:
    """GenForce's ``StyleGAN2Generator`` and ``StyleGAN2ADAGenerator``."""
    tensors = {"const": state["synthesis.early_layer.const"][0], "w_mean": state["truncation.w_avg"]}
    depth = _genforce_mapping(state, tensors)
    blocks = 1 + sum(bool(re.fullmatch(r"synthesis\.layer\d+\.weight", key)) for key in state) // 2
    for i in range(blocks):
        layers = {"conv1": f"layer{2 * i}", "torgb": f"output{i}"} | ({"conv0": f"layer{2 * i - 1}"} if i else {})
        for target, source in layers.items():
            target, source = f"blocks.{i}.{target}", f"synthesis.{source}"
            weight = state[f"{source}.weight"]
            tensors[f"{target}.weight"] = weight.flip(2, 3) if target.endswith("conv0") else weight
            tensors[f"{target}.bias"] = state[f"{source}.bias"]
            tensors[f"{target}.affine.weight"] = state[f"{source}.style.weight"]
            tensors[f"{target}.affine.bias"] = state[f"{source}.style.bias"] + 1
            if not target.endswith("torgb"):
                tensors[f"{target}.noise"] = state[f"{source}.noise"][0, 0]
                tensors[f"{target}.noise_strength"] = state[f"{source}.noise_strength"]
    return _stylegan2(tensors, blocks, depth)


def _stylegan2(tensors: dict[str, Tensor], blocks: int, depth: int) -> Converted:
    """A StyleGAN2 with skips whose configuration is in the shapes of its weights."""
    taps = [1.0, 3.0, 3.0, 1.0]
    tensors["fir"] = torch.outer(torch.tensor(taps), torch.tensor(taps)) / 64
    labels = tensors.get("mapping_network.embed.weight")
    first = tensors["mapping_network.layers.0.weight"]
    config = {
        "img_resolution": 4 * 2 ** (blocks - 1),
        "channels": [len(tensors[f"blocks.{i}.conv1.bias"]) for i in range(blocks)],
        "img_channels": len(tensors["blocks.0.torgb.bias"]),
        "z_dim": first.shape[1] - (0 if labels is None else len(labels)),
        "c_dim": 0 if labels is None else labels.shape[1],
        "w_dim": len(tensors[f"mapping_network.layers.{depth - 1}.bias"]),
        "mapping_layers": depth,
        "mapping_dim": len(first),
        "embed_dim": None if labels is None else len(labels),
        "resample_filter": taps,
    }
    return Converted("stylegan2", config, tensors)


def _genforce_mapping(state: Mapping[str, Tensor], tensors: dict[str, Tensor]) -> int:
    """Rename the mapping network of a GenForce or InterFaceGAN file; returns its depth."""
    if "mapping.label_weight" in state:
        raise UserError("conditional networks of GenForce's StyleGAN and StyleGAN2 are not implemented")
    depth = 0
    for key, value in state.items():
        match = re.fullmatch(r"mapping\.(?:dense(\d+)|LabelEmbed)\.(?:linear\.|wscale\.)?(weight|bias)", key)
        if match:
            depth += match[2] == "weight" and match[1] is not None
            tensors[f"mapping_network.{f'layers.{match[1]}' if match[1] else 'embed'}.{match[2]}"] = value
    return depth


def _resolutions(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many resolutions a progressively grown network has; a UserError for one saved while growing."""
    lod = state.get(f"{prefix}lod")
    if lod is not None and float(lod) != 0:
        raise UserError(f"the network was saved while growing (level of detail {float(lod):g}, a finished one has 0)")
    return sum(bool(re.fullmatch(rf"{re.escape(prefix)}output\d+\.(conv\.)?weight", key)) for key in state)


def _upsampling_kernel(state: Mapping[str, Tensor], source: str, *, transposed: bool) -> Tensor:
    """The kernel of an upsampling layer in the orientation of a transposed convolution: (O, I, 3, 3).

    Args:
        state, source: the weights and the layer's name.
        transposed: whether a GenForce layer upsamples by transposed convolution; InterFaceGAN's names say so.
    """
    weight = state.get(f"{source}.weight")
    if weight is None:
        return state[f"{source}.conv.weight"].flip(2, 3)
    if weight.shape[:2] == (3, 3):  # InterFaceGAN: (3, 3, I, O)
        return weight.permute(3, 2, 0, 1)
    return weight if transposed else weight.flip(2, 3)


def _weight(state: Mapping[str, Tensor], source: str) -> Tensor:
    return state[f"{source}.conv.weight"] if f"{source}.conv.weight" in state else state[f"{source}.weight"]


def stylegan1(state: Mapping[str, Tensor]) -> Converted:
    """GenForce's ``StyleGANGenerator`` and InterFaceGAN's ``StyleGANGeneratorModel``.

    GenForce upsamples by transposed convolution from 128 px on, as all published networks do.
    """
    own = "synthesis.layer0.first_layer" in state  # InterFaceGAN's names
    inner = ".epilogue" if own else ""
    style = ".epilogue.style_mod.dense" if own else ".style"
    parts = {"weight": ".linear.weight", "bias": ".wscale.bias"} if own else {"weight": ".weight", "bias": ".bias"}
    tensors = {"const": state["synthesis.layer0." + ("first_layer" if own else "const")][0]}
    tensors["w_mean"] = state["truncation.w_avg"]
    depth = _genforce_mapping(state, tensors)
    blocks = _resolutions(state, "synthesis.")
    for i in range(2 * blocks):
        source, target, resolution = f"synthesis.layer{i}", f"layers.{i}", 4 * 2 ** (i // 2)
        if i % 2:
            tensors[f"{target}.conv.weight"] = _weight(state, source)
        elif i:
            tensors[f"{target}.conv.weight"] = _upsampling_kernel(state, source, transposed=resolution >= 128)
        tensors[f"{target}.bias"] = state[f"{source}{inner}.bias"]
        tensors[f"{target}.noise_strength"] = state[f"{source}{inner}.apply_noise.weight"]
        tensors[f"{target}.noise"] = state[f"{source}{inner}.apply_noise.noise"][0, 0]
        for part, name in parts.items():
            tensors[f"{target}.style.{part}"] = state[f"{source}{style}{name}"]
    tensors["torgb.weight"] = _weight(state, f"synthesis.output{blocks - 1}")
    tensors["torgb_bias"] = state[f"synthesis.output{blocks - 1}.bias"]
    tensors["blur"] = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    config = {
        "img_resolution": 4 * 2 ** (blocks - 1),
        "channels": [len(tensors[f"layers.{2 * i}.bias"]) for i in range(blocks)],
        "img_channels": len(tensors["torgb_bias"]),
        "z_dim": tensors["mapping_network.layers.0.weight"].shape[1],
        "w_dim": len(tensors[f"mapping_network.layers.{depth - 1}.bias"]),
        "mapping_layers": depth,
        "mapping_dim": len(tensors["mapping_network.layers.0.bias"]),
    }
    return Converted("stylegan1", config, tensors)


def pggan(state: Mapping[str, Tensor]) -> Converted:
    """GenForce's ``PGGANGenerator`` (with ``fused_scale=False``) and InterFaceGAN's ``PGGANGeneratorModel``."""
    blocks = _resolutions(state, "")
    bias = "wscale.bias" if "layer0.wscale.bias" in state else "bias"
    tensors = {}
    for i in range(2 * blocks):
        upsampling = i and i % 2 == 0
        weight = _upsampling_kernel(state, f"layer{i}", transposed=False) if upsampling else _weight(state, f"layer{i}")
        tensors[f"layers.{i}.conv.weight"], tensors[f"layers.{i}.bias"] = weight, state[f"layer{i}.{bias}"]
    tensors["torgb.conv.weight"] = _weight(state, f"output{blocks - 1}")
    tensors["torgb.bias"] = state[f"output{blocks - 1}.{bias}"]
    config = {
        "img_resolution": 4 * 2 ** (blocks - 1),
        "channels": [len(tensors[f"layers.{2 * i}.bias"]) for i in range(blocks)],
        "img_channels": len(tensors["torgb.bias"]),
        "z_dim": tensors["layers.0.conv.weight"].shape[1],
    }
    return Converted("pggan", config, tensors)
