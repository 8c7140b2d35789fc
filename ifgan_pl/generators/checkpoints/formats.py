"""Generator files of every published format: recognised by their content, read safely, written as safetensors."""

import logging
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, load_tensors, save_tensors, tensors_digest
from ifgan_pl.generators.checkpoints import conversions, safe_pickle
from ifgan_pl.generators.checkpoints.conversions import Converted
from ifgan_pl.generators.pggan import PGGAN
from ifgan_pl.generators.sampling import sample_z
from ifgan_pl.generators.stylegan1 import StyleGAN1
from ifgan_pl.generators.stylegan2 import StyleGAN2
from ifgan_pl.generators.stylegan3 import StyleGAN3

FileGenerator = StyleGAN1 | StyleGAN2 | StyleGAN3 | PGGAN
"""A generator of a family that files hold."""
ARCHITECTURES: dict[str, type[FileGenerator]] = {
    "stylegan1": StyleGAN1,
    "stylegan2": StyleGAN2,
    "stylegan3": StyleGAN3,
    "pggan": PGGAN,
}
KIND = "generator"
"""What the metadata of :func:`save`'s files say that they hold."""
FFHQ_W = (-0.20661, 1.08505, 0.68415, -0.16533, -0.0963, 2.04858, -0.04732, 0.79442)
"""The first components of StyleGAN2-FFHQ's W code of sample 0 of stream 0, from the embedded ``ffhq-mobile``."""
KNOWN = (
    "safetensors of this package, NVIDIA's .pkl (stylegan2-ada-pytorch, stylegan3), rosinality's .pt, GenForce's .pth"
)
log = logging.getLogger(__name__)

STATE_DICTS: dict[str, Callable[[Mapping[str, Tensor]], Converted]] = {
    "synthesis.early_layer.const": conversions.genforce_stylegan2,
    "synthesis.layer0.const": conversions.stylegan1,
    "synthesis.layer0.first_layer": conversions.stylegan1,
    "layer0.weight": conversions.pggan,
    "layer0.conv.weight": conversions.pggan,
}
"""A weight that only one published layout has, and the function that reads that layout."""


def load_file(path: str | Path) -> FileGenerator:
    """Load a generator from a file of any known format; no code in it is run.

    Args:
        path: safetensors of :func:`convert`; an NVIDIA pickle of stylegan2-ada-pytorch or stylegan3; a ``.pt`` of
            rosinality's stylegan2-pytorch; a ``.pth`` of GenForce or InterFaceGAN. The suffix does not matter.

    Returns:
        a frozen float32 generator on the CPU, in evaluation mode.

    Raises:
        UserError: no such file, a truncated or unknown one, or one that asks for code to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such file: {path}")
    try:
        converted = _read(path)
        generator = _build(converted)
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"{path} looks like a generator, but parts are missing or of another shape ({reason})"
        ) from error
    generator.name = converted.name or path.stem
    return generator


def save(generator: FileGenerator, path: str | Path) -> None:
    """Write a generator as safetensors with its configuration; :func:`load_file` gives it back bit for bit."""
    architecture = next(name for name, cls in ARCHITECTURES.items() if type(generator) is cls)
    metadata = {"kind": KIND, "architecture": architecture, "config": generator.config, "name": generator.name}
    save_tensors(path, generator.state_dict(), metadata)


def convert(source: str | Path, target: str | Path) -> FileGenerator:
    """Write the generator of any known file as portable safetensors, and return it."""
    generator = load_file(source)
    save(generator, target)
    return generator


def _read(path: Path) -> Converted:
    """The content of a file, whose format its first bytes tell."""
    with open(path, "rb") as file:
        start = file.read(16)
    if start[8:9] == b"{":
        return _read_own(path)
    if start.startswith((b"PK\x03\x04", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")):
        return _recognise(_load_torch(path, zipped=start.startswith(b"PK")))
    if start.startswith(b"\x80"):
        return conversions.nvidia(safe_pickle.load(path))
    raise UserError(f"is no generator file; known are {KNOWN}")


def _read_own(path: Path) -> Converted:
    """Safetensors of :func:`save`."""
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") != KIND or metadata.get("architecture") not in ARCHITECTURES:
        raise UserError("is not a generator's safetensors; `convert` writes those")
    return Converted(metadata["architecture"], metadata["config"], tensors, metadata["name"])


def _load_torch(path: Path, *, zipped: bool) -> Any:
    try:
        with torch.serialization.safe_globals(conversions.SAFE_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"the file asks for {asked[1]}" if asked else "the file holds more than tensors and plain values"
        raise UserError(f"refused, nothing was run: {what}, which a generator file has no need of") from None
    except Exception as error:  # damaged bytes may raise anything
        raise UserError(f"is no complete PyTorch file ({str(error).splitlines()[0]}); download it again") from None


def _recognise(content: Any) -> Converted:
    """The content of a ``.pt`` or ``.pth``, whose layout the names of its weights tell."""
    if isinstance(content, dict):
        if isinstance(content.get("g_ema"), dict):
            return conversions.rosinality(content["g_ema"], content.get("latent_avg"))
        state = content.get("models", content)  # GenForce's runs keep their networks one level down
        state = state.get("generator_smooth", state)
        for key, reader in STATE_DICTS.items():
            if key in state:
                return reader(state)
        if "style.1.weight" in state and "to_rgb1.bias" in state:
            return conversions.rosinality(state, None)
    raise UserError(f"the weights are those of no known generator; known are {KNOWN}")


def _build(converted: Converted) -> FileGenerator:
    """The module with these weights: built on the meta device, so that loading costs no second copy of them.

    Constructors make zeros and constants only: on the meta device random numbers and arithmetic import 900 modules of
    PyTorch (1.2 s).
    """
    with torch.device("meta"):
        generator = ARCHITECTURES[converted.architecture](**converted.config)
    expected = generator.state_dict()
    tensors = {name: value.detach().float().contiguous() for name, value in converted.tensors.items()}
    has_mean = "w_mean" in tensors or "w_mean" not in expected
    if not has_mean:
        tensors["w_mean"] = torch.zeros(generator.w_dim)
    for name in expected.keys() ^ tensors.keys():
        raise UserError(f"weights {name!r} are {'missing' if name in expected else 'not of this architecture'}")
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)}, {tuple(expected[name].shape)} expected"
            raise UserError(f"weights {name!r} are of shape {shapes}")
    generator.load_state_dict(tensors, assign=True)
    generator.requires_grad_(False).eval()
    if not has_mean:
        log.warning("the file has no mean code for truncation: taking the mean of 10,000")
        generator.w_mean = mean_code(generator)
    generator.family = latent_family(generator, converted.architecture)
    generator.fingerprint = json_digest(
        {
            "architecture": converted.architecture,
            "config": generator.config,
            "weights": tensors_digest(generator.state_dict()),
        }
    )
    return generator


@torch.no_grad()
def mean_code(generator: FileGenerator, samples: int = 10_000) -> Tensor:
    """Mean W code of samples 0, 1, … of stream 0: (w_dim,) float32. Needs an unconditional generator."""
    z = sample_z(range(samples), generator.z_dim)
    w = torch.cat([generator.mapping(z[i : i + 500]) for i in range(0, samples, 500)])
    return w.double().mean(dim=0).float()


@torch.no_grad()
def latent_family(generator: FileGenerator, architecture: str) -> str:
    """The name of a generator's latent space: equal for equal mapping networks, whatever file they come from.

    StyleGAN2-FFHQ's is recognised by a W code that it gives, to 1e-3, since ``ffhq-mobile`` has the same network with
    its scales folded in. A family without W has the digest of all its weights.
    """
    if isinstance(generator, PGGAN):
        return f"pggan-{tensors_digest(generator.state_dict())[:12]}"
    if generator.z_dim == generator.w_dim == 512 and generator.c_dim == 0:
        w = generator.mapping(sample_z([0], 512))[0, : len(FFHQ_W)]
        if torch.allclose(w, torch.tensor(FFHQ_W), rtol=0, atol=1e-3):
            return "stylegan2-ffhq"
    return f"{architecture}-{tensors_digest(generator.mapping_network.state_dict())[:12]}"
