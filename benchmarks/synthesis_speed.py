"""Full synthesis of ffhq-mobile: eager, compiled, bf16 and OpenVINO in f32; on a GPU also batch sizes and the preview.

    python benchmarks/synthesis_speed.py [--rounds 9] [--images 8] [--device cpu]

On a CPU all calls take turns in one process: one image (latency), and many on all cores (throughput). Errors are
against eager float32, of images clipped to [-1, 1] and of the shipped scorer's scores in standard deviations.
On a GPU each line also gives the share of the card's memory bandwidth and arithmetic: bytes are those of reading and
writing every layer's input and output once, operations are counted by PyTorch; both are set against what a copy and a
matrix product reach on that card.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from timing import alternate, ratio
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ifgan_pl.core.cores import use_one_thread
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.numerics import numerics_of
from ifgan_pl.core.resources import resource
from ifgan_pl.generators import EMBEDDED, Generator, load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.generators.wheels import download
from ifgan_pl.scorer.loading import load_scorer

KINDS: dict[str, dict[str, Any]] = {
    "eager float32": {},
    "compiled float32": {"compile": True},
    "eager bfloat16": {"dtype": torch.bfloat16},
    "compiled bfloat16": {"dtype": torch.bfloat16, "compile": True},
}
GPU_KINDS: dict[str, dict[str, Any]] = {**KINDS, "eager TF32": {}, "eager float16": {"dtype": torch.float16}}


def openvino_synthesis() -> Callable[[Tensor], object]:
    """The published graph in f32 on all cores, an image at a time."""
    import openvino

    files = download(EMBEDDED["ffhq-mobile"])
    core = openvino.Core()
    weights = openvino.Tensor(np.frombuffer(files["Synthesis.bin"], np.uint8).copy())
    model = core.read_model(files["Synthesis.xml"], weights)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda codes: [compiled([row[None]]) for row in codes.numpy()]


def on_cpu(rounds: int, count: int) -> None:
    """Latency, throughput and errors."""
    generators = {kind: load_generator("ffhq-mobile", **options) for kind, options in KINDS.items()}
    codes = sample_codes(generators["eager float32"], range(count))
    use_one_thread()
    for kind, generator in generators.items():
        for resolution in generator.resolutions:
            start = time.perf_counter()
            synthesise(generator, codes[:1], space="w", resolution=resolution)
            print(f"first image {resolution}², {kind}: {time.perf_counter() - start:.1f} s")
    openvino = openvino_synthesis()

    def turns(some: Tensor) -> dict[str, list[float]]:
        calls: dict[str, Callable[[], object]] = {
            kind: partial(synthesise, g, some, space="w") for kind, g in generators.items()
        }
        return alternate({**calls, "OpenVINO float32": lambda: openvino(some)}, rounds)

    for name, some in (("one image", codes[:1]), (f"{count} images, all cores", codes)):
        times = turns(some)
        for kind, values in times.items():
            each = statistics.median(values) / len(some)
            print(f"{name}, {kind}: {each:.3f} s an image, {ratio(times, kind, 'OpenVINO float32'):.2f} of OpenVINO")
    errors(generators)


def errors(generators: dict[str, Generator], count: int = 24) -> None:
    """How far each kind is from eager float32: images, and scores in units of their std over the same faces."""
    codes = sample_codes(generators["eager float32"], range(count))
    scorer = load_scorer(resource("checkpoints/scorer-faces.ckpt")).to(codes.device)
    for resolution in (128, 1024):
        images, scores = {}, {}
        for kind, generator in generators.items():
            images[kind] = synthesise(generator, codes, space="w", resolution=resolution).clamp(-1, 1)
            scores[kind] = map_micro_batches(scorer, images[kind])
        std = scores["eager float32"].std(dim=0)
        for kind in list(generators)[1:]:
            difference = (images[kind] - images["eager float32"]).abs()
            moved = ((scores[kind] - scores["eager float32"]) / std).abs()
            print(
                f"{resolution}², {kind} against eager float32: images {difference.max():.2g} at most, "
                f"{difference.mean():.2g} on average; scores {moved.max():.2g} std, {moved.mean():.2g} on average"
            )


def traffic(generator: nn.Module, call: Callable[[], object]) -> int:
    """Bytes that the leaf modules of a call read and write."""
    total = 0

    def count(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        nonlocal total
        tensors = [t for t in (*inputs, output, *module.parameters(recurse=False)) if isinstance(t, Tensor)]
        total += sum(t.nbytes for t in tensors)

    hooks = [m.register_forward_hook(count) for m in generator.modules() if any(True for _ in m.parameters(False))]
    call()
    for hook in hooks:
        hook.remove()
    return total


def timed_on_gpu(call: Callable[[], object], rounds: int) -> float:
    """Median seconds between two events on the card."""
    for _ in range(3):
        call()
    event: Any = partial(torch.cuda.Event, enable_timing=True)
    times: list[float] = []
    for _ in range(rounds):
        begin, end = event(), event()
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)


def on_gpu(rounds: int) -> None:
    """Images a second by precision, batch size and path, and the share of the card that this is; then errors."""
    large = torch.empty(2**28, device="cuda")
    bandwidth = 2 * large.nbytes / timed_on_gpu(large.clone, rounds)
    del large
    print(f"{torch.cuda.get_device_name()}: a copy moves {bandwidth / 1e9:.0f} GB/s")
    for kind, options in GPU_KINDS.items():
        dtype = options.get("dtype", torch.float32)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = kind == "eager TF32"
        square = torch.randn(8192, 8192, device="cuda", dtype=dtype)
        peak = 2 * 8192**3 / timed_on_gpu(partial(torch.matmul, square, square), rounds)
        print(f"{kind}: a matrix product makes {peak / 1e12:.0f} Tflop/s", flush=True)
        plain = load_generator("ffhq-mobile", device="cuda", dtype=dtype)
        assert isinstance(plain, nn.Module)
        generator = load_generator("ffhq-mobile", device="cuda", **options)
        for resolution in generator.resolutions:
            for batch in (16,) if "compile" in options else (1, 4, 16, 64):
                codes = sample_codes(generator, range(batch))
                seconds = timed_on_gpu(partial(generator.synthesis, codes, resolution), rounds)
                with FlopCounterMode(display=False) as counter:
                    plain.synthesis(codes, resolution)
                moved = traffic(plain, partial(plain.synthesis, codes, resolution))
                print(
                    f"{resolution}², {kind}, batch {batch}: {batch / seconds:.1f} images/s, "
                    f"{moved / seconds / bandwidth:.0%} of bandwidth, "
                    f"{counter.get_total_flops() / seconds / peak:.0%} of arithmetic",
                    flush=True,
                )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    errors({kind: load_generator("ffhq-mobile", device="cuda", **options) for kind, options in KINDS.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    print(f"PyTorch {torch.__version__}, {numerics_of(options.device).device}")
    with torch.inference_mode():
        if options.device == "cuda":
            on_gpu(options.rounds)
        else:
            on_cpu(options.rounds, options.images)


if __name__ == "__main__":
    main()
