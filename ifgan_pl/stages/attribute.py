"""The attribute stage: from yes and no about some faces to attributes of a boundary; and which faces to ask about."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ifgan_pl.attributes.distil import map_rows_of_samples, with_heads
from ifgan_pl.attributes.faces import Faces, faces_of_scores, features_of_files, features_of_samples
from ifgan_pl.attributes.head import NARROW, Head, fit_head
from ifgan_pl.attributes.labels import asked, read_answers, write_answers
from ifgan_pl.attributes.learn import attributes_from_labels
from ifgan_pl.attributes.suggest import suggest as suggested
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import write_json
from ifgan_pl.core.messages import say
from ifgan_pl.core.resources import find
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.images.sheets import draw_grid
from ifgan_pl.images.write import save_image, to_uint8
from ifgan_pl.scorer.loading import SCORER, find_scorer, save_heads, scorer_metrics
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scores.score_file import export_added, open_scores
from ifgan_pl.scores.score_images import list_images
from ifgan_pl.stages.edit import default_boundary
from ifgan_pl.stages.places import RUN

SHEET, ANSWERS = "sheet.jpg", "labels.csv"
"""In the folder of ``--suggest``: the faces asked about, and the CSV to fill in."""
SIDE, NUM = 256, 5000


def attribute(
    *,
    name: Sequence[str],
    labels: Sequence[str] = (),
    suggest: int = 0,
    images: Sequence[str] = (),
    scores: str | None = None,
    generator: str = "ffhq-mobile",
    boundary: str | None = None,
    scorer: str = SCORER,
    num: int | None = None,
    seed: int = 0,
    truncation: float = 0.7,
    replace: bool = False,
    out: str | None = None,
    scores_out: str | None = None,
    scorer_out: str | None = None,
    scorer_images: int = 5000,
) -> Path:
    """Add attributes of your own to a boundary, from yes and no about 50 to 300 faces; or say which faces to look at.

    First `--name beard --suggest 24 --out sheet` writes sheet/sheet.jpg and sheet/labels.csv: write 1, 0 or nothing
    behind each face, and run it again for 24 more; it says when there are enough. Then `--name beard --labels
    sheet/labels.csv` adds the attribute, and `edit.py --boundary` edits, holds and is held with it.

    Args:
        name: of the attribute, or of several.
        labels: CSV files with a column index (the number of a face, as edit.py knows it; with ``images`` a column
            file) and one for each attribute: 1, 0, any other number, or nothing.
        suggest: instead, so many faces whose answers would help most: uncertain ones, likely ones of a rare answer, and
            some at random; of the first name.
        images: folders and files of your own images, if the labels are about these.
        scores: a store of `score`, or a file of its scores such as the shipped ffhq-mobile-scores: its scores and codes
            are looked at instead of the scorer's features, so that no image has to be made. Its own seed, truncation
            and scorer apply.
        generator: name of an embedded generator, or a file.
        boundary: boundary file to add to; by default what ``out`` holds, else the shipped one of the generator.
        scorer: whose features are looked at: checkpoint, shipped name, or ``module:callable``.
        num: how many faces are scored to fit the hyperplane, and may be asked about: indices 0 to num - 1, by default
            5,000, of ``scores`` all. What is seen of them is kept in the cache.
        seed: stream of the samples.
        truncation: psi of the samples, as the boundary's.
        replace: fit an attribute anew that the boundary has.
        out: boundary file, by default runs/default/attributes.safetensors; with ``suggest`` a folder, by default
            runs/default/sheet.
        scores_out: also write the scores of all faces by the new attributes, as a file that `boundary --scores` and
            the page read; needs ``scores``.
        scorer_out: also write a scorer that gives the new attributes beside those of ``scorer``, from images alone:
            .ckpt, for `score`, `edit`, `report` and the page. It learns from the labels and from what the labels say of
            more faces.
        scorer_images: how many faces ``scorer_out`` learns from, beside those with labels.

    Returns:
        the file or folder.
    """
    if suggest and images:
        raise UserError("--suggest is about samples of the generator: label all of your own --images instead")
    if not suggest and not labels:
        raise UserError("give --labels FILE.csv, or --suggest 24 for faces to look at")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_generator(generator, device=device)
    place = Path(out or f"{RUN}/{'sheet' if suggest else 'attributes.safetensors'}")
    start = boundary or (str(place) if place.is_file() else default_boundary(model))
    known = LinearBoundary.load(find(start, "checkpoints", (".safetensors",)))
    known.check_codes(space=known.space, family=model.family)
    if scores and images:
        raise UserError("--images are looked at by the scorer's features: leave --scores out")
    if scores_out and not scores:
        raise UserError("--scores_out writes scores of the faces of --scores: name these")
    if scorer_out and images:
        raise UserError("--scorer_out learns from faces of the generator: leave --images out")
    source = open_scores(scores) if scores else None
    if source and source.inputs["generator"] != model.fingerprint:
        raise UserError(
            f"{scores} is of another generator, {source.inputs['generator_name']}: name it with --generator"
        )
    num = min(num or source.num, source.num) if source else num or NUM
    eyes = find_scorer(scorer)
    if scorer_out and not isinstance(eyes, FacialAttributeScorer):
        raise UserError(f"--scorer_out adds to a scorer of this package, which {scorer} is not")
    if isinstance(eyes, torch.nn.Module):
        eyes.to(device)
    # what a user wrote is read before anything that takes long
    files = list_images(images) if images else []
    seen = features_of_files(eyes, files) if files else None
    written = [*labels, *([str(place / ANSWERS)] if suggest and asked(place / ANSWERS) else [])]
    answers = read_answers(written, name, files=seen.inputs["files"] if seen else (), num=None if seen else num)
    if source:
        faces = faces_of_scores(source, num)
    else:
        faces = features_of_samples(model, eyes, num, seed=seed, truncation=truncation, space=known.space)
    if suggest:
        return _suggest(model, faces, name[0], answers[name[0]], suggest, place)
    found, learned = attributes_from_labels(known, faces, answers, labelled=seen, replace=replace)
    for each, what in learned.items():
        say(f"attribute: {each}: {what}")
    found.save(place)
    if scores_out and source:
        by_name = {each: what.scores for each, what in learned.items()}
        export_added(source, scores_out, by_name, [what.head.kind for what in learned.values()])
        say(f"attribute: scores of {num:,} faces in {scores_out}")
    if scorer_out:
        assert isinstance(eyes, FacialAttributeScorer)
        heads = {each: what.head for each, what in learned.items()}
        _save_scorer(model, eyes, scorer, faces, heads, answers, scorer_images, Path(scorer_out))
    say(f"attribute: {', '.join(learned)} added to those of {start} in {place}; try")
    say(f"  python edit.py --attribute {name[0]} --hold all --boundary {place}")
    return place


def _save_scorer(
    model: Generator,
    eyes: FacialAttributeScorer,
    name: str,
    faces: Faces,
    heads: dict[str, Head],
    answers: dict[str, dict[int, float]],
    count: int,
    place: Path,
) -> None:
    """Write a scorer that gives the attributes of heads too, and what is known of it beside it."""
    asked_about = {i for given in answers.values() for i in given}
    indices = sorted({*range(min(count, len(faces))), *asked_about})
    where = {key: faces.inputs[key] for key in ("seed", "truncation", "space")}
    rows = map_rows_of_samples(model, eyes, indices, **where)
    position = {index: k for k, index in enumerate(indices)}
    about = {each: {position[i]: value for i, value in given.items()} for each, given in answers.items()}
    whole, qualities = with_heads(eyes, heads, faces.at(indices), rows, about)
    for each, quality in qualities.items():
        say(f"attribute: {each} from images alone: {quality}")
    save_heads(whole, place, name)
    write_json(
        place.with_suffix(".json"), scorer_metrics(eyes, name) | {f"auroc/{n}": q.value for n, q in qualities.items()}
    )
    say(f"attribute: a scorer of {', '.join(whole.attributes)} in {place}, from {len(indices):,} faces")


def _suggest(model: Generator, faces: Faces, name: str, answers: dict[int, float], count: int, folder: Path) -> Path:
    """Write the next faces to ask about, below those that were asked about before."""
    before = asked(folder / ANSWERS)
    head = _head(faces, answers, name)
    fresh = sorted(set(range(len(faces))) - set(before))
    chosen = suggested(faces, count, answers=answers, head=head, among=fresh)
    codes = faces.codes
    assert codes is not None
    where = {"space": faces.inputs["space"], "truncation": faces.inputs["truncation"]}
    codes = sample_codes(model, chosen, seed=faces.inputs["seed"], **where)
    size = model.img_resolution
    with torch.inference_mode():
        pixels = to_uint8(
            synthesise(model, codes, resolution=SIDE if size % SIDE == 0 and size > SIDE else None, **where)
        )
    pictures = [Image.fromarray(face) for face in pixels]
    title = f"{name}? write 1, 0 or nothing into {ANSWERS}"
    sheet = draw_grid(pictures, title=title, labels=[str(i) for i in chosen], columns=6, side=SIDE)
    save_image(folder / SHEET, np.asarray(sheet), {"indices": chosen, "seed": faces.inputs["seed"], "attribute": name})
    write_answers(folder / ANSWERS, [*before, *chosen], {name: answers})
    if head is not None:
        verdict = "enough" if head.quality.enough else f"go on until the interval is {NARROW:g} wide"
        say(f"attribute: {name}: {head.quality} so far: {verdict}")
    say(f"attribute: {count} faces in {folder / SHEET}; write 1, 0 or nothing into {folder / ANSWERS}, then run")
    say(f"  python train.py attribute --name {name} --labels {folder / ANSWERS}")
    say("or this command again for more")
    return folder


def _head(faces: Faces, answers: dict[int, float], name: str) -> Head | None:
    """A head, where there are answers enough for one."""
    try:
        return fit_head(faces, answers, name=name)
    except UserError as error:
        if answers:
            say(f"attribute: {error}")
        return None
