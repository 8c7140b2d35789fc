"""What scoring through the preview costs, and what it costs beside the generator and the scorer.

    python benchmarks/scoring_speed.py [--rounds 5] [--skip-memory]

All figures are medians over turns taken about:
- the package's scoring through the preview, in float32 and with ``--trainer.precision bf16-true``, against eager full
  synthesis in float32, averaged down to 128² and scored, with PyTorch's own threads and allocator, in processes of
  their own: "plain", the network as one writes it from its paper (plain_mobile.py), and "own", this package's;
- against the layers up to 64² alone;
- ``train.py score`` (Trainer, samples, store) against the bare generator and scorer on the same cores;
- two single-thread processes against one;
- resident memory of a run of 20,000 samples against one of 1,000 (digiface-dcgan).
"""

import argparse
import os
import statistics
import tempfile
from functools import partial
from typing import Any
from unittest.mock import patch

import plain_mobile
import torch
import torch.nn.functional as F
from timing import Worker, alternate, ratio, serve, spawn

from ifgan_pl.core.cores import use_one_thread
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.resources import resource
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.mobile import PREVIEW_BLOCK, MobileStyleGAN
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scores.score_samples import score_codes
from ifgan_pl.stages.score import score
from ifgan_pl.stages.trainer import make_trainer, open_generator

FACES = 16
FULL_FACES = 2
PRECISIONS = ("float32", "bfloat16")
QUIET: dict[str, Any] = {"enable_progress_bar": False, "accelerator": "cpu"}


def child(kind: str) -> None:
    """The work of a process of its own."""
    what, precision = kind.split()
    generator = load_generator("ffhq-mobile", dtype=getattr(torch, precision))
    scorer = load_scorer(resource("checkpoints/scorer-faces.ckpt"))
    assert isinstance(generator, MobileStyleGAN)
    codes = sample_codes(generator, range(FACES))  # applies the package's thread count and allocator

    def layers() -> None:
        ws = codes[:, None].expand(-1, generator.num_ws, -1).to(getattr(torch, precision))
        map_micro_batches(lambda piece: generator.hidden(piece, PREVIEW_BLOCK), ws)

    work = {"preview": lambda: score_codes(generator, scorer, codes, space="w", resolution=128), "layers": layers}
    with torch.inference_mode():
        serve(work[what])


def full(kind: str) -> None:
    """Full synthesis by hand: nothing of this package's numerics; the network is this package's or the plain one."""
    generator, scorer = load_generator("ffhq-mobile"), load_scorer(resource("checkpoints/scorer-faces.ckpt"))
    torch.set_num_threads(os.cpu_count() or 1)
    assert isinstance(generator, MobileStyleGAN)
    z = torch.randn(FULL_FACES, 512, generator=torch.Generator().manual_seed(0))
    synthesis = generator.synthesis if kind == "own" else partial(plain_mobile.synthesis, generator)

    def work() -> None:
        for row in z[:, None]:
            scorer(F.avg_pool2d(synthesis(generator.truncate(generator.mapping(row), 0.7)), 8))

    with torch.inference_mode():
        plain_mobile.check(generator, generator.mapping(z[:1]))
        serve(work)


def against_full_and_layers(rounds: int) -> None:
    """Ratios of the preview's time."""
    kinds = [f"{what} {precision}" for precision in PRECISIONS for what in ("preview", "layers")]
    workers = {kind: Worker(__file__, "--child", kind) for kind in ("plain", "own", *kinds)}
    times = alternate(workers, rounds)
    for worker in workers.values():
        worker.close()
    each = {kind: statistics.median(t) / (FACES if " " in kind else FULL_FACES) for kind, t in times.items()}
    print("a face: " + ", ".join(f"{kind} {seconds * 1e3:.1f} ms" for kind, seconds in each.items()))
    for precision in PRECISIONS:
        preview, layers = f"preview {precision}", f"layers {precision}"
        plain, own = (ratio(times, kind, preview) * FACES / FULL_FACES for kind in ("plain", "own"))
        print(f"{precision}: full synthesis (float32) / preview {plain:.1f} plain, {own:.1f} own (18 asked)", end="; ")
        print(f"preview / layers up to 64² {ratio(times, preview, layers):.3f} (1.25 asked)")


def overhead(rounds: int, faces: int = 256) -> None:
    """Time of the whole stage against the bare loops over the same samples; loading is in neither."""
    generator, scorer = load_generator("ffhq-mobile"), load_scorer(resource("checkpoints/scorer-faces.ckpt"))
    numerics = open_generator("ffhq-mobile", make_trainer(QUIET, ""), QUIET, compile=False)[1]
    count = 0

    def stage() -> None:
        nonlocal count
        count += 1
        score(num=faces, seed=count, out=f"{folder}/{count}", trainer=QUIET)

    def bare() -> None:
        with torch.inference_mode():
            codes = sample_codes(generator, range(faces), seed=count)
            score_codes(generator, scorer, codes, space="w", resolution=128)

    with (
        tempfile.TemporaryDirectory() as folder,
        patch("ifgan_pl.stages.score.open_generator", return_value=(generator, numerics)),
        patch("ifgan_pl.stages.score.find_scorer", return_value=scorer),
    ):
        times = alternate({"stage": stage, "bare": bare}, rounds)
    print(f"{faces} faces: outside generator and scorer {1 - 1 / ratio(times, 'stage', 'bare'):.1%} (5 % asked)")


def two_processes(rounds: int) -> None:
    """Rate of two processes of one core each, in rates of one."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    workers = [Worker(__file__, "--child", "preview float32", cores={core}) for core in cores]

    def both() -> None:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.finish()

    times = alternate({"one": workers[0], "both": both}, rounds)
    for worker in workers:
        worker.close()
    print(f"two single-thread processes score {2 / ratio(times, 'both', 'one'):.2f} times as fast as one (1.8 asked)")


def memory(num: int, folder: str) -> int:
    """Largest resident size of a run, bytes; without the end of the process, which touches pages of its libraries."""
    arguments = ["score", "--generator", "digiface-dcgan", "--truncation", "1", "--num", str(num)]
    arguments += ["--out", f"{folder}/{num}", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    peak = "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    program = f"import resource, sys; from ifgan_pl.cli import train; train(sys.argv[1:]); {peak}"
    process = spawn("-c", program, *arguments)
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"train.py score ended with status {process.returncode}")
    return int(printed.split()[-1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-memory", action="store_true", help="leave out the two runs of digiface-dcgan")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child) if " " in options.child else full(options.child)
        return
    print(f"PyTorch {torch.__version__}, {len(os.sched_getaffinity(0))} cores")
    against_full_and_layers(options.rounds)
    two_processes(options.rounds)
    use_one_thread()
    overhead(options.rounds)
    if not options.skip_memory:
        with tempfile.TemporaryDirectory() as folder:
            small, large = memory(1000, folder), memory(20000, folder)
        print(f"resident memory: {small / 2**20:.0f} MiB at 1,000, {large / 2**20:.0f} at 20,000 (50 MiB more allowed)")


if __name__ == "__main__":
    main()
