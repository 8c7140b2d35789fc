"""Generator files in the published formats, made without any of the published code.

Weights follow one recipe: a value depends on the weight's published name and shape alone (NumPy's Philox keyed by
the name's CRC), so that the official code, filled by the same recipe elsewhere, makes the same network.
``golden/README.md`` says how the golden images were taken from it.
"""

import pickle
import sys
import types
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def fill(name: str, shape: Sequence[int]) -> Tensor:
    """The recipe: float32 weights of a published name, of a size that keeps images near [-1, 1]."""
    value = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode()))).standard_normal(tuple(shape))
    last, parent = (["", *name.split(".")])[-1], (["", "", *name.split(".")])[-2]
    mapping = name.startswith(("mapping.", "style.")) and "embed" not in name.lower()
    if last == "lod":
        value *= 0
    elif last == "transform":
        value = np.eye(3)
    elif last == "magnitude_ema":
        value = 1 + 0.1 * np.abs(value)
    elif last in ("w_avg", "latent_avg", "noise_strength") or "noise.weight" in name or last == "phases":
        value *= 0.1
    elif last == "bias":
        value *= 10 if mapping else 0.1
        value += parent in ("affine", "modulation")
    elif last == "weight" and mapping:
        value *= 100
    elif last == "weight" and any(part in name for part in ("torgb.weight", "to_rgb", "output")):
        value *= 1 if any(part in name for part in ("modulation", "style")) else 0.2
    return torch.from_numpy(np.asarray(value, dtype=np.float32).reshape(tuple(shape)))


def filled(shapes: dict[str, Sequence[int]]) -> dict[str, Tensor]:
    """The recipe over a whole state dict."""
    return {name: fill(name, shape) for name, shape in shapes.items()}


def channels_of(resolution: int, base: int, most: int) -> list[int]:
    """Channels of each resolution from 4 px: min(base / resolution, most)."""
    return [min(base // r, most) for r in (4 * 2**i for i in range(resolution.bit_length() - 2))]


# --- NVIDIA's pickles: the reduce structure of torch_utils.persistence, by stand-ins of the same names ---------------


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("the official loader would run the pickled source here")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class EasyDict(dict[str, Any]):
    """Stands in for ``dnnlib.util.EasyDict``."""


EasyDict.__module__ = "dnnlib.util"
SOURCE = "raise SystemExit('the source of a pickle was run')"


class Persistent:
    """A module as ``torch_utils.persistence`` pickles it: (reconstruct, ({type, version, module_src, ...},))."""

    def __init__(self, class_name: str, **state: Any) -> None:
        self.class_name = class_name
        parts = {k: OrderedDict(state.pop(k, {})) for k in ("_parameters", "_buffers", "_modules")}
        self.state = {"training": False, **parts, "_init_args": (), "_init_kwargs": EasyDict(), **state}

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name, "state": self.state}
        return _reconstruct_persistent_obj, (meta,), None


@contextmanager
def stand_ins() -> Iterator[None]:
    """Let ``pickle`` find the stand-ins under the official modules' names while a file is written."""
    modules = {
        name: types.ModuleType(name) for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")
    }
    vars(modules["torch_utils.persistence"])["_reconstruct_persistent_obj"] = _reconstruct_persistent_obj
    vars(modules["dnnlib.util"])["EasyDict"] = EasyDict
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def write_nvidia(path: Path, generator: Persistent, protocol: int = 4) -> Path:
    """A training snapshot; the other networks are small, they only have to be skipped."""
    other = Persistent("Discriminator", _parameters={"weight": nn.Parameter(torch.ones(2))}, gain=np.float64(0.5))
    content = {"G": other, "D": other, "G_ema": generator, "augment_pipe": None, "training_set_kwargs": {"xflip": True}}
    with stand_ins():
        path.write_bytes(pickle.dumps(content, protocol))
    return path


def _dense(name: str, in_dim: int, out_dim: int, lr: float = 1.0, activation: str = "linear") -> Persistent:
    parameters = {
        p: nn.Parameter(fill(f"{name}.{p}", s)) for p, s in (("weight", (out_dim, in_dim)), ("bias", (out_dim,)))
    }
    gains = {"weight_gain": np.float64(lr / np.sqrt(in_dim)), "bias_gain": lr}
    return Persistent("FullyConnectedLayer", _parameters=parameters, activation=activation, **gains)


def _nvidia_mapping(z_dim: int, c_dim: int, w_dim: int, layers: int) -> Persistent:
    dims = [z_dim + (w_dim if c_dim else 0), *[w_dim] * layers]
    modules = {"embed": _dense("mapping.embed", c_dim, w_dim)} if c_dim else {}
    for i in range(layers):
        modules[f"fc{i}"] = _dense(f"mapping.fc{i}", dims[i], dims[i + 1], 0.01, "lrelu")
    buffers = {"w_avg": fill("mapping.w_avg", (w_dim,))}
    return Persistent("MappingNetwork", _modules=modules, _buffers=buffers, num_layers=layers)


def _nvidia_generator(mapping: Persistent, synthesis: Persistent, **sizes: int) -> Persistent:
    return Persistent("Generator", _modules={"synthesis": synthesis, "mapping": mapping}, img_channels=3, **sizes)


def nvidia_stylegan2(
    resolution: int, channels: Sequence[int], *, z_dim: int, c_dim: int = 0, w_dim: int, layers: int, **options: Any
) -> Persistent:
    """``Generator`` of stylegan2-ada-pytorch's or stylegan3's StyleGAN2; options: clamp, half (fp16 resolutions)."""
    clamp, half = options.get("clamp"), options.get("half", 0)
    taps = torch.tensor([1.0, 3, 3, 1]) / 8

    def layer(name: str, inputs: int, outputs: int, size: int, kernel: int = 3) -> Persistent:
        shapes = {"weight": (outputs, inputs, kernel, kernel), "bias": (outputs,)}
        buffers = {"resample_filter": torch.outer(taps, taps)} if kernel == 3 else {}
        if kernel == 3:
            shapes |= {"noise_strength": ()}
            buffers |= {"noise_const": fill(f"{name}.noise_const", (size, size))}
        return Persistent(
            "SynthesisLayer" if kernel == 3 else "ToRGBLayer",
            _parameters={p: nn.Parameter(fill(f"{name}.{p}", s)) for p, s in shapes.items()},
            _buffers=buffers,
            _modules={"affine": _dense(f"{name}.affine", w_dim, inputs)},
            conv_clamp=clamp,
            activation="lrelu",
            use_noise=True,
        )

    blocks = {}
    for i, width in enumerate(channels):
        size, name = 4 * 2**i, f"synthesis.b{4 * 2**i}"
        modules = {"conv0": layer(f"{name}.conv0", channels[i - 1], width, size)} if i else {}
        modules["conv1"] = layer(f"{name}.conv1", width, width, size)
        modules["torgb"] = layer(f"{name}.torgb", width, 3, size, 1)
        blocks[f"b{size}"] = Persistent(
            "SynthesisBlock",
            _parameters={} if i else {"const": nn.Parameter(fill(f"{name}.const", (width, 4, 4)))},
            _buffers={"resample_filter": torch.outer(taps, taps)},
            _modules=modules,
            architecture="skip",
            use_fp16=i > 0 and len(channels) - i <= half,
        )
    synthesis = Persistent("SynthesisNetwork", _modules=blocks, img_resolution=resolution)
    sizes = {"z_dim": z_dim, "c_dim": c_dim, "w_dim": w_dim, "img_resolution": resolution}
    return _nvidia_generator(_nvidia_mapping(z_dim, c_dim, w_dim, layers), synthesis, **sizes)


def nvidia_stylegan3(
    resolution: int,
    layer_shapes: Sequence[tuple[int, int]],
    *,
    z_dim: int,
    c_dim: int = 0,
    w_dim: int,
    filters: Sequence[tuple[Tensor | None, Tensor | None]],
    **synthesis_kwargs: Any,
) -> Persistent:
    """``Generator`` of stylegan3: layers of (size, channels), and the filters that the file carries for each."""
    first, kernel = layer_shapes[0][1], synthesis_kwargs.get("conv_kernel", 3)
    name = "synthesis.input"
    buffers = {"transform": (3, 3), "freqs": (first, 2), "phases": (first,)}
    modules = {
        "input": Persistent(
            "SynthesisInput",
            _parameters={"weight": nn.Parameter(fill(f"{name}.weight", (first, first)))},
            _buffers={k: fill(f"{name}.{k}", s) for k, s in buffers.items()},
            _modules={"affine": _dense(f"{name}.affine", w_dim, 4)},
            size=np.array([36, 36]),
        )
    }
    widths = [first, *(width for _, width in layer_shapes)]
    for i, (size, width) in enumerate(layer_shapes):
        k = 1 if i == len(layer_shapes) - 1 else kernel
        short = f"L{i}_{size}_{width}"
        name = f"synthesis.{short}"
        shapes = {"weight": (width, widths[i], k, k), "bias": (width,)}
        modules[short] = Persistent(
            "SynthesisLayer",
            _parameters={p: nn.Parameter(fill(f"{name}.{p}", s)) for p, s in shapes.items()},
            _buffers={
                "magnitude_ema": fill(f"{name}.magnitude_ema", ()),
                "up_filter": filters[i][0],
                "down_filter": filters[i][1],
            },
            _modules={"affine": _dense(f"{name}.affine", w_dim, widths[i])},
            in_size=np.array([size, size]),
            in_cutoff=np.float64(2.0),
        )
    kwargs = EasyDict(w_dim=w_dim, img_resolution=resolution, img_channels=3, **synthesis_kwargs)
    synthesis = Persistent("SynthesisNetwork", _modules=modules, _init_kwargs=kwargs)
    sizes = {"z_dim": z_dim, "c_dim": c_dim, "w_dim": w_dim, "img_resolution": resolution}
    return _nvidia_generator(_nvidia_mapping(z_dim, c_dim, w_dim, 2), synthesis, **sizes)


# --- state dicts of .pt and .pth files -------------------------------------------------------------------------------


def rosinality(channels: Sequence[int], *, style_dim: int, n_mlp: int = 8) -> dict[str, Tensor]:
    """``g_ema`` of stylegan2-pytorch."""
    shapes: dict[str, Sequence[int]] = {"input.input": (1, channels[0], 4, 4)}
    for i in range(1, n_mlp + 1):
        shapes |= {f"style.{i}.weight": (style_dim, style_dim), f"style.{i}.bias": (style_dim,)}

    def modulated(name: str, inputs: int, outputs: int, kernel: int) -> None:
        shapes[f"{name}.conv.weight"] = (1, outputs, inputs, kernel, kernel)
        shapes[f"{name}.conv.modulation.weight"], shapes[f"{name}.conv.modulation.bias"] = (
            (inputs, style_dim),
            (inputs,),
        )
        shapes[f"{name}.bias" if kernel == 1 else f"{name}.activate.bias"] = (1, 3, 1, 1) if kernel == 1 else (outputs,)
        if kernel == 3:
            shapes[f"{name}.noise.weight"] = (1,)

    for i, width in enumerate(channels):
        if i:
            modulated(f"convs.{2 * i - 2}", channels[i - 1], width, 3)
        modulated(f"convs.{2 * i - 1}" if i else "conv1", width, width, 3)
        modulated(f"to_rgbs.{i - 1}" if i else "to_rgb1", width, 3, 1)
        for n in (2 * i - 1, 2 * i) if i else (0,):
            shapes[f"noises.noise_{n}"] = (1, 1, 4 * 2**i, 4 * 2**i)
    return filled(shapes)


def genforce_mapping(dim: int = 512, label_size: int = 0) -> dict[str, Sequence[int]]:
    """The mapping network and w_avg that GenForce's StyleGAN and StyleGAN2 share; with the label of the ADA one."""
    shapes: dict[str, Sequence[int]] = {"truncation.w_avg": (dim,)}
    if label_size:
        shapes |= {"mapping.LabelEmbed.weight": (dim, label_size), "mapping.LabelEmbed.bias": (dim,)}
    for i in range(8):
        inputs = 2 * dim if label_size and i == 0 else dim
        shapes |= {f"mapping.dense{i}.weight": (dim, inputs), f"mapping.dense{i}.bias": (dim,)}
    return shapes


def genforce_stylegan2(channels: Sequence[int], *, dim: int = 512, label_size: int = 0) -> dict[str, Tensor]:
    """``generator_smooth`` of GenForce's StyleGAN2."""
    shapes = genforce_mapping(dim, label_size) | {"synthesis.early_layer.const": (1, channels[0], 4, 4)}

    def layer(name: str, inputs: int, outputs: int, kernel: int, size: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs, kernel, kernel), (outputs,)
        shapes[f"{name}.style.weight"], shapes[f"{name}.style.bias"] = (inputs, dim), (inputs,)
        if kernel == 3:
            shapes[f"{name}.noise"], shapes[f"{name}.noise_strength"] = (1, 1, size, size), ()

    for i, width in enumerate(channels):
        if i:
            layer(f"synthesis.layer{2 * i - 1}", channels[i - 1], width, 3, 4 * 2**i)
        layer(f"synthesis.layer{2 * i}", width, width, 3, 4 * 2**i)
        layer(f"synthesis.output{i}", width, 3, 1, 4 * 2**i)
    return filled(shapes)


def genforce_stylegan1(channels: Sequence[int], *, dim: int = 512) -> dict[str, Tensor]:
    """``generator_smooth`` of GenForce's StyleGAN."""
    shapes = genforce_mapping(dim) | {"synthesis.lod": (), "synthesis.layer0.const": (1, channels[0], 4, 4)}
    for i, width in enumerate(channels):
        for n, inputs in ((2 * i, channels[max(i - 1, 0)]), (2 * i + 1, width)):
            name = f"synthesis.layer{n}"
            if n:
                shapes[f"{name}.weight"] = (width, inputs, 3, 3)
            shapes |= {f"{name}.bias": (width,), f"{name}.apply_noise.weight": (width,)}
            shapes |= {f"{name}.apply_noise.noise": (1, 1, 4 * 2**i, 4 * 2**i)}
            shapes |= {f"{name}.style.weight": (2 * width, dim), f"{name}.style.bias": (2 * width,)}
        shapes |= {f"synthesis.output{i}.weight": (3, width, 1, 1), f"synthesis.output{i}.bias": (3,)}
    return filled(shapes)


def interfacegan_stylegan1(channels: Sequence[int]) -> dict[str, Tensor]:
    """A StyleGAN file as InterFaceGAN's converter writes it; transposed kernels (3, 3, I, O) from 128 px on."""
    shapes: dict[str, Sequence[int]] = {"truncation.w_avg": (512,), "synthesis.lod": ()}
    for i in range(8):
        shapes |= {f"mapping.dense{i}.linear.weight": (512, 512), f"mapping.dense{i}.wscale.bias": (512,)}
    shapes["synthesis.layer0.first_layer"] = (1, channels[0], 4, 4)
    for i, width in enumerate(channels):
        for n, inputs in ((2 * i, channels[max(i - 1, 0)]), (2 * i + 1, width)):
            name = f"synthesis.layer{n}"
            if n % 2 == 0 and i >= 5:
                shapes[f"{name}.weight"] = (3, 3, inputs, width)
            elif n:
                shapes[f"{name}.conv.weight"] = (width, inputs, 3, 3)
            name += ".epilogue"
            shapes |= {f"{name}.bias": (width,), f"{name}.apply_noise.weight": (width,)}
            shapes |= {f"{name}.apply_noise.noise": (1, 1, 4 * 2**i, 4 * 2**i)}
            shapes[f"{name}.style_mod.dense.linear.weight"] = (2 * width, 512)
            shapes[f"{name}.style_mod.dense.wscale.bias"] = (2 * width,)
        shapes |= {f"synthesis.output{i}.conv.weight": (3, width, 1, 1), f"synthesis.output{i}.bias": (3,)}
    return filled(shapes)


def pggan(channels: Sequence[int], *, interfacegan: bool = False) -> dict[str, Tensor]:
    """A PGGAN of GenForce (``generator_smooth``) or of InterFaceGAN; enlarging by repetition in both."""
    conv, bias = ("conv.weight", "wscale.bias") if interfacegan else ("weight", "bias")
    shapes: dict[str, Sequence[int]] = {"lod": ()}
    for i, width in enumerate(channels):
        first = (width, channels[i - 1], 3, 3) if i else (width, 512, 4, 4)
        shapes |= {f"layer{2 * i}.{conv}": first, f"layer{2 * i}.{bias}": (width,)}
        shapes |= {f"layer{2 * i + 1}.{conv}": (width, width, 3, 3), f"layer{2 * i + 1}.{bias}": (width,)}
        shapes |= {f"output{i}.{conv}": (3, width, 1, 1), f"output{i}.{bias}": (3,)}
    return filled(shapes)
