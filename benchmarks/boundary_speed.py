"""How fast boundaries are fitted, against scikit-learn and against the number of attributes.

    python benchmarks/boundary_speed.py svc        # SVC(kernel="linear") on 14,000 x 512; 5-10 minutes, SVC's
    python benchmarks/boundary_speed.py linearsvc  # LinearSVC(dual=False), 5 attributes, 20,000 x 512
    python benchmarks/boundary_speed.py attributes # 40 attributes against one
    python benchmarks/boundary_speed.py sgd        # minibatches under a Trainer against the exact solver, 20,000 x 512
    python benchmarks/boundary_speed.py large      # 500,000 x 512 x 40: time and peak memory

Codes are real W codes of ``ffhq-mobile`` at truncation 0.7. Scores are simulated: linear along the shipped normals or
random ones, plus noise. Whatever is compared alternates in one process; ratios are what to read. Prints one JSON line.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ifgan_pl.boundaries import solvers
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.boundaries.solvers.moments import moments
from ifgan_pl.functional import matrix_sqrt
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_z

BOUNDARY = "checkpoints/ffhq-mobile-w.safetensors"


def real_codes(count: int, seed: int = 0) -> Tensor:
    """(count, 512) W codes, truncated; filled in place so that nothing but them stays."""
    generator = load_generator("ffhq-mobile")
    assert generator.w_mean is not None
    codes = torch.empty(count, generator.w_dim)
    with torch.no_grad():
        for start in range(0, count, 8192):
            indices = range(start, min(start + 8192, count))
            w = generator.mapping(sample_z(indices, generator.z_dim, seed=seed))
            codes[indices.start : indices.stop] = generator.truncate(w, 0.7)
    return codes


def simulated_scores(codes: Tensor, normals: Tensor, noise: float, seed: int = 1) -> Tensor:
    """(N, m): standardised distances along the normals, and ``noise`` times a standard normal variable."""
    generator = torch.Generator().manual_seed(seed)
    scores = codes @ normals.mT
    scores -= scores.mean(0)
    scores /= scores.std(0)
    for column in range(scores.shape[1]):
        scores[:, column] += noise * torch.randn(len(scores), generator=generator)
    return scores


def random_normals(codes: Tensor, count: int) -> Tensor:
    """(count, 512) filters whose scores vary along many directions of the codes, as those of real attributes do."""
    statistics = moments(codes[:50_000])
    root = matrix_sqrt(statistics.covariance)
    whiten = torch.linalg.inv(root + 0.1 * float(root.diagonal().mean()) * torch.eye(len(root), dtype=root.dtype))
    white = torch.randn(count, len(root), generator=torch.Generator().manual_seed(2))
    normals: Tensor = white.double() @ whiten
    return normals.float()


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = job()
    return time.perf_counter() - start, result


def accuracy(weights: Tensor, bias: float, codes: Tensor, labels: Tensor) -> float:
    return float((((codes.double() @ weights.double() + bias) > 0) == (labels > 0)).double().mean())


def svc(args: argparse.Namespace) -> dict[str, Any]:
    """The paper's selection: the 2 % extremes of N / 0.028 samples, 70 % of them to fit; C = 1."""
    from sklearn.svm import SVC

    codes = real_codes(int(args.num / 0.028))
    normal = LinearBoundary.load(BOUNDARY).normals.detach()[1:2]
    report: dict[str, Any] = {"rows": args.num}
    for name, noise in (("easy", args.easy), ("hard", args.hard)):
        score = simulated_scores(codes, normal, noise)[:, 0]
        side = args.num * 5 // 7
        order = score.argsort()
        chosen = torch.cat([order[:side], order[-side:]])
        labels = torch.cat([-torch.ones(side), torch.ones(side)])
        mixed = torch.randperm(2 * side, generator=torch.Generator().manual_seed(0))
        train, test = mixed[: args.num], mixed[args.num :]
        x, y = codes[chosen[train]], labels[train]
        held, truth = codes[chosen[test]], labels[test]
        figures: dict[str, Any] = {}
        for solver in ("hinge", "logistic"):
            target = y if solver == "hinge" else (y + 1) / 2
            l2 = 1 / args.num if solver == "hinge" else 0.1 * float(x.var(0).mean())
            seconds, found = timed(partial(solvers.SOLVERS[solver], x, target[:, None], l2=l2))
            figures[solver] = {
                "seconds": seconds,
                "accuracy": accuracy(found.weights[0], float(found.biases[0]), held, truth),
            }
        model = SVC(kernel="linear", C=1.0)
        seconds, _ = timed(partial(model.fit, x.numpy(), y.numpy()))
        weights = torch.tensor(model.coef_[0])
        figures["svc"] = {
            "seconds": seconds,
            "accuracy": accuracy(weights, float(model.intercept_[0]), held, truth),
            "support_vectors": int(model.n_support_.sum()),
        }
        for solver in ("hinge", "logistic"):
            figures[solver]["times_faster"] = figures["svc"]["seconds"] / figures[solver]["seconds"]
        report[name] = figures
    return report


def linearsvc(args: argparse.Namespace) -> dict[str, Any]:
    """Five attributes, all samples labelled by the sign of their score, squared hinge, C = 1."""
    from sklearn.svm import LinearSVC

    codes = real_codes(args.num)
    scores = simulated_scores(codes, LinearBoundary.load(BOUNDARY).normals.detach(), 0.5)
    labels = torch.where(scores > 0, 1.0, -1.0)
    l2 = 1 / args.num  # C = 1; scikit-learn's squared hinge has no factor 1/2 either
    ours, theirs = [], []

    def fitted() -> list[LinearSVC]:
        return [LinearSVC(dual=False).fit(codes.numpy(), column.numpy()) for column in labels.unbind(1)]

    for _ in range(args.repeats):
        seconds, found = timed(lambda: solvers.squared_hinge(codes, labels, l2=l2))
        ours.append(seconds)
        seconds, models = timed(fitted)
        theirs.append(seconds)
    weights = torch.stack([torch.tensor(m.coef_[0]).double() for m in models])
    cosines = torch.nn.functional.cosine_similarity(weights, found.weights)
    return {"rows": args.num, "ours": ours, "linearsvc": theirs, "times_faster": min(theirs) / min(ours)} | {
        "least_cosine": float(cosines.min())
    }


def soft_targets(codes: Tensor, count: int) -> Tensor:
    """(N, count) probabilities of simulated attributes, a tenth of them missing."""
    targets = simulated_scores(codes, random_normals(codes, count), 0.7).mul_(2).sigmoid_()
    generator = torch.Generator().manual_seed(3)
    for column in targets.unbind(1):
        column[torch.rand(len(column), generator=generator) < 0.1] = torch.nan
    return targets


def attributes(args: argparse.Namespace) -> dict[str, Any]:
    """Logistic regression on all samples with masks, to a relative gradient of 1e-6, moments included."""
    codes = real_codes(args.num)
    targets = soft_targets(codes, 40)
    l2 = 0.025 * float(codes.var(0).mean())
    one, forty = [], []
    for _ in range(args.repeats):
        one.append(timed(lambda: solvers.logistic(codes, targets[:, :1], l2=l2))[0])
        seconds, found = timed(lambda: solvers.logistic(codes, targets, l2=l2))
        forty.append(seconds)
    return {"rows": args.num, "one": one, "forty": forty, "ratio": min(forty) / min(one)} | {
        "relative_gradient": max(found.info["relative_gradient"]),
        "passes": found.info["passes"],
    }


def sgd(args: argparse.Namespace) -> dict[str, Any]:
    """Logistic regression on five simulated attributes, 20 epochs; cosines between the normals."""
    from ifgan_pl.boundaries.solvers.sgd import SGD

    codes = real_codes(args.num)
    targets = soft_targets(codes, 5)
    l2 = 2.0 * float(codes.var(0).mean())
    exact_seconds, exact = timed(lambda: solvers.logistic(codes, targets, l2=l2, tolerance=1e-8))
    solver = SGD("logistic", trainer={"accelerator": args.device, "enable_progress_bar": False})
    seconds, found = timed(lambda: solver(codes, targets, l2=l2))
    cosines = torch.nn.functional.cosine_similarity(found.weights, exact.weights)
    return {"rows": args.num, "seconds": seconds, "exact_seconds": exact_seconds, "least_cosine": float(cosines.min())}


def peak() -> int:
    """Bytes, the most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def large(args: argparse.Namespace) -> dict[str, Any]:
    """The solver and the whole of ``fit_boundary``; memory above that after imports, relative to the latents."""
    imported = peak()
    codes = real_codes(args.num)
    targets = soft_targets(codes, 40)
    prepared = peak()
    size = codes.numel() * codes.element_size()
    l2 = 0.025 * float(codes[:50_000].var(0).mean())
    device = torch.device(args.device)
    codes, targets = codes.to(device), targets.to(device)
    start, _ = timed(lambda: solvers.logistic(codes[:4096], targets[:4096], l2=l2))  # libraries are loaded
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, found = timed(lambda: solvers.logistic(codes, targets, l2=l2))
    report = {
        "rows": args.num,
        "seconds": seconds,
        "seconds_on_4096_rows_before": start,
        "relative_gradient": max(found.info["relative_gradient"]),
        "passes": found.info["passes"],
        "memory_before_the_fit": (prepared - imported) / size,
        "memory": (peak() - imported) / size,
    }
    if device.type == "cuda":
        report["device"] = torch.cuda.get_device_name()
        report["memory_on_device"] = torch.cuda.max_memory_allocated() / size
    if not args.solver_only:
        names = [f"a{j}" for j in range(40)]
        report["fit_boundary_seconds"], _ = timed(
            lambda: fit_boundary(codes, targets.cpu(), attributes=names, space="w", solver="logistic")
        )
        report["fit_boundary_memory"] = (peak() - imported) / size
    return report


JOBS = {
    "svc": (svc, 14_000),
    "linearsvc": (linearsvc, 20_000),
    "attributes": (attributes, 100_000),
    "sgd": (sgd, 20_000),
    "large": (large, 500_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--num", type=int, help="rows that are fitted; by default as the job's line above says")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="linearsvc, attributes: the best of so many")
    parser.add_argument("--easy", type=float, default=0.6, help="svc: noise of the attribute whose extremes separate")
    parser.add_argument("--hard", type=float, default=6.0, help="svc: noise of the one whose extremes do not")
    parser.add_argument("--device", default="cpu", help="large, sgd: what computes")
    parser.add_argument("--solver_only", action="store_true", help="large: leave fit_boundary out")
    args = parser.parse_args()
    job, count = JOBS[args.job]
    args.num = args.num or count
    torch.set_num_threads(args.threads)
    print(json.dumps({"job": args.job, "threads": args.threads, **job(args)}, indent=1))


if __name__ == "__main__":
    main()
