"""StyleGAN2: synthesis at 256² against NVIDIA's reference path, and what loading 1024² costs.

    python benchmarks/stylegan2_speed.py [--official FOLDER] [--threads 2] [--rounds 9]

FOLDER is a checkout of NVlabs/stylegan3; without it only our own figures are taken. Both networks have the same random
weights; calls alternate in one process and the ratio of their times is what counts.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.stylegan2 import StyleGAN2

CHANNELS = [512, 512, 512, 512, 512, 256, 128, 64, 32]


def official(folder: Path, resolution: int) -> Any:
    """NVIDIA's generator. Two imports that its loader needs and this benchmark does not are stood in for."""
    sys.path.insert(0, str(folder))
    for name in ("requests", "pkg_resources"):
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
    if not hasattr(sys.modules.get("pkg_resources"), "parse_version"):
        version = importlib.import_module("packaging.version")
        sys.modules.setdefault("pkg_resources", types.ModuleType("pkg_resources"))
        vars(sys.modules["pkg_resources"])["parse_version"] = version.parse
    networks = importlib.import_module("training.networks_stylegan2")
    return networks.Generator(512, 0, 512, resolution, 3, conv_clamp=None).eval().requires_grad_(False)


def speed(folder: Path | None, rounds: int) -> None:
    """Seconds an image at 256², batch 1, and the ratio."""
    ours = StyleGAN2(img_resolution=256, channels=CHANNELS[:7]).eval().requires_grad_(False)
    for parameter in ours.parameters():
        parameter.normal_()
    calls: dict[str, Any] = {"ours": lambda w: ours.synthesis(w)}
    if folder is not None:
        theirs = official(folder, 256)
        for source, target in zip(_convolutions(theirs), _convolutions(ours), strict=True):
            target.data.copy_(source)
        calls["official"] = lambda w: theirs.synthesis(w[:, None].expand(-1, theirs.num_ws, -1), noise_mode="const")
    w = torch.randn(1, 512)
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, call in calls.items():
                start = time.perf_counter()
                call(w)
                if turn:  # the first warms up
                    times[name].append(time.perf_counter() - start)
    for name, values in times.items():
        print(f"synthesis 256², {name}: {statistics.median(values):.3f} s (best {min(values):.3f})")
    if "official" in times:
        ratios = [theirs / ours for ours, theirs in zip(times["ours"], times["official"], strict=True)]
        print(f"official / ours: median of {rounds} pairs {statistics.median(ratios):.2f}")


def _convolutions(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter for name, parameter in module.named_parameters() if parameter.ndim == 4 and "torgb" not in name]


def peak() -> int:
    """Largest resident size of this process so far, bytes (Linux; ``ru_maxrss`` would count the parent's too)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def load(path: Path) -> None:
    """In a process of its own: seconds, and resident memory beyond the interpreter's, in sizes of the weights."""
    before, start = peak(), time.perf_counter()
    generator = formats.load_file(path)
    seconds = time.perf_counter() - start
    size = sum(value.nbytes for value in generator.state_dict().values())
    print(f"load 1024²: {seconds:.2f} s, {size / 1e6:.0f} MB of weights, peak {(peak() - before) / size:.2f} × that")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.load:
        load(options.load)
        return
    print(f"PyTorch {torch.__version__}, {options.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stylegan2-1024.safetensors")
        formats.save(StyleGAN2(img_resolution=1024, channels=CHANNELS), path)
        subprocess.run([sys.executable, __file__, "--load", str(path)], check=True)
    speed(options.official, options.rounds)


if __name__ == "__main__":
    main()
