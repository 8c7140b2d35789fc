"""The stages as functions: score, boundary, report and the rest. Each ends in files, and says when its result is fresh.

``cli.py`` makes ``train.py`` and ``edit.py`` of them; from Python they are called with the same keywords.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ifgan_pl import __version__
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, save_tensors
from ifgan_pl.generators import edit_space, load_generator, load_mobile
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.preview import train_preview
from ifgan_pl.generators.sampling import check_space, check_truncation, check_unconditional, native_resolution
from ifgan_pl.report.build import build_report
from ifgan_pl.scores.external import read_labels, read_latents
from ifgan_pl.scores.score_file import open_scores
from ifgan_pl.scores.score_images import score_pictures
from ifgan_pl.scores.score_samples import ScoreTask
from ifgan_pl.scores.store import ScoreStore, changed
from ifgan_pl.stages.running import (
    SCORER,
    digest_of,
    find_scorer,
    fresh,
    is_rank_zero,
    make_trainer,
    open_generator,
    say,
    scorer_inputs,
    scorer_metrics,
)

RUN = "runs/default"


def score(
    *,
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    images: Sequence[str] = (),
    num: int = 5000,
    seed: int = 0,
    truncation: float = 0.7,
    space: str | None = None,
    resolution: int | None = None,
    out: str | None = None,
    block_size: int = 1024,
    batch_size: int = 32,
    pictures: bool = False,
    compile: bool = False,
    allow_numerics_change: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Sample faces, score them and store codes and scores; continues what is there. Or score picture files.

    Args:
        generator: name of an embedded generator, or a file.
        scorer: checkpoint, shipped name, or ``module:callable``.
        images: folders and files of pictures: these are scored instead of samples, into a CSV with a row a picture;
            broken ones are named and left out. Of the other options scorer, out, batch_size and trainer apply.
        num: how many faces: sample indices 0 to num - 1.
        seed: stream of the samples; sample i of a seed is the same face on any machine.
        truncation: psi of the sample, 0 to 1; 0.7 gives clean faces, 1 the whole variety.
        space: latent space of the stored codes (z, w, w+); by default W where the generator has it.
        resolution: side of the scored pictures; by default the cheapest native one (for ffhq-mobile the 128² preview;
            1024 scores full synthesis, about ten times slower).
        out: folder of the store, by default runs/default/scores; with ``images`` a CSV, or a folder for scores.csv, by
            default runs/default/images.csv.
        block_size: samples a file; an interrupted run loses at most one block a rank.
        batch_size: samples between two updates of the progress bar; changes nothing in the result.
        pictures: also keep the scored pictures, as pictures/<index>.jpg in the store.
        compile: torch.compile of synthesis: half a minute the first time, pays most on a GPU (needs a C++ compiler).
        allow_numerics_change: continue a store begun on another device or precision.
        trainer: flags of the Lightning Trainer; ``precision`` (32-true, bf16-true, on a GPU 16-true) is that of
            synthesis, the scorer stays in float32.

    Returns:
        the folder, or the CSV.
    """
    if batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, got {batch_size}")
    trainer_, judge = make_trainer(trainer, "scoring faces"), find_scorer(scorer)
    if images:
        table = Path(out or f"{RUN}/images.csv")
        table = table if table.suffix == ".csv" else table / "scores.csv"
        done, broken = score_pictures(judge, images, table, trainer=trainer_, batch_size=batch_size)
        say(f"score: {done} pictures in {table}" + (f", {broken} broken left out" if broken else ""))
        return table
    out = out or f"{RUN}/scores"
    faces, numerics = open_generator(generator, trainer_, trainer, compile=compile)
    space = space or edit_space(faces)
    check_space(faces, space)
    check_truncation(faces, truncation)
    check_unconditional(faces)
    resolution = resolution or faces.resolutions[0]
    native_resolution(faces, resolution)
    inputs = {
        "generator": faces.fingerprint,
        "generator_name": faces.name,
        "family": faces.family,
        "num_ws": faces.num_ws,
        "space": space,
        "seed": seed,
        "truncation": truncation,
        "resolution": resolution,
        **scorer_inputs(judge, scorer),
    }
    store = ScoreStore(out, num=num, inputs=inputs, numerics=numerics, block_size=block_size, pictures=pictures)
    if is_rank_zero():
        for note in store.begin(allow_numerics_change=allow_numerics_change):
            say(note)
        if not store.missing()[0]:
            say(f"score: fresh ({num} faces in {out})")
            if trainer_.world_size == 1:
                return Path(out)
    trainer_.predict(ScoreTask(faces, judge, store, batch_size=batch_size), return_predictions=False)
    trainer_.strategy.barrier()
    undone = sum(not store.path(block).exists() for block in store.blocks())
    if undone:
        raise UserError(f"{undone} of {len(store.blocks())} blocks are not done: run the same command again")
    say(f"score: {num} faces in {out}")
    return Path(out)


def boundary(
    *,
    scores: str = f"{RUN}/scores",
    latents: str | None = None,
    attributes: Sequence[str] = (),
    space: str = "w",
    layers: Sequence[int] = (),
    family: str = "",
    selection: str = "all",
    solver: str = "ridge",
    l2: float | dict[str, float] | str = 2.0,
    side_effects: dict[str, dict[str, float]] | None = None,
    metric: str = "sqrt",
    seed: int = 0,
    out: str = f"{RUN}/boundary.safetensors",
) -> Path:
    """Fit the boundaries of all attributes at once, on latents that live on the device.

    Args:
        scores: a store of `score`, or a file of its scores alone, such as the shipped ffhq-mobile-scores; or, with
            ``latents``, ``<attribute>_scores.npy`` (N, 1) or a CSV with a column an attribute (and ``index`` or
            ``file`` to name rows of the latents).
        latents: codes from elsewhere: ``.npy`` (N, d) or ``.safetensors`` with ``latents``.
        attributes: which columns; by default all.
        space: latent space of ``latents`` (a store knows its own).
        layers: rows of W+ codes that the boundary looks at and its edits move; by default all.
        family: latent family of ``latents``, e.g. stylegan2-ffhq; empty serves any generator of that dimension.
        selection: ``all`` samples, or the paper's ``extremes`` (top and bottom 2 %).
        solver: how the hyperplanes are fitted.
        l2: penalty, relative to the mean variance of a coordinate; one for each attribute in a YAML file or as
            --l2 '{"smile": 2, "age": 4}'; ``cv``: what predicts best (about .1); ``svc``: C = 1.
        side_effects: what edits were measured to move besides their target, in standard deviations per one of the
            target, to be countered: in a YAML file or as --side_effects '{"age": {"eyeglasses": 0.2}}'
            (``benchmarks/side_effects.py`` measures it).
        metric: the metric in which directions are least; ``covariance``, ``sqrt`` or ``identity`` (the paper's).
        seed: of the validation split.
        out: the boundary file.

    Returns:
        the file.
    """
    settings = {
        "selection": selection,
        "solver": solver,
        "l2": l2,
        "metric": metric,
        "seed": seed,
        "layers": list(layers),
        "attributes": list(attributes),
        **({"side_effects": side_effects} if side_effects else {}),
    }
    if latents is None:
        store = open_scores(scores)
        where: dict[str, Any] = {k: store.inputs[k] for k in ("space", "family", "num_ws", "truncation")}
        inputs = {**settings, "num": store.num, "scores": json_digest(store.inputs)}
    else:
        where = {"space": space, "family": family, "num_ws": 1, "truncation": None}
        inputs = {**settings, **where, "latents": digest_of(latents), "scores": digest_of(scores)}
    if fresh("boundary", out, inputs, lambda path: LinearBoundary.load(path).provenance):
        return Path(out)
    if latents is None:
        codes, values = store.load()
        names, kinds = list(store.inputs["attributes"]), list(store.inputs["kinds"])
    else:
        codes = read_latents(latents)
        where["num_ws"] = codes.shape[1] if codes.ndim == 3 else 1
        names, values = read_labels(scores, len(codes))
        kinds = []
    if attributes:
        chosen = [attribute_index(a, names) for a in attributes]
        names, values = [names[i] for i in chosen], values[:, chosen]
        kinds = [kinds[i] for i in chosen] if kinds else []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fitted = fit_boundary(
        codes.to(device),
        values.to(device),
        attributes=names,
        kinds=kinds or None,
        **where,
        layers=list(layers) or None,
        selection=selection,
        solver=solver,
        l2=l2,
        side_effects=side_effects,
        metric=metric,
        seed=seed,
        provenance={
            "inputs": inputs,
            "version": __version__,
            **({"generator": store.inputs["generator_name"]} if latents is None else {}),
        },
    )
    fitted.save(out)
    say(f"boundary: {', '.join(fitted.attributes)} from {len(codes)} codes in {out}")
    return Path(out)


def report(
    *,
    scores: str = f"{RUN}/scores",
    boundary: str = f"{RUN}/boundary.safetensors",
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    faces: int = 32,
    out: str = f"{RUN}/report",
) -> Path:
    """Measure what boundaries do, and write a page with figures and the same numbers as JSON.

    Args:
        scores: the store that the boundary was fitted on.
        boundary: the boundary file.
        generator: the generator of the store.
        scorer: the scorer of the store.
        faces: how many unseen faces to edit and score again.
        out: folder of the report.

    Returns:
        the page.
    """
    store = open_scores(scores)
    inputs = {"boundary": digest_of(boundary), "scores": json_digest(store.inputs), "num": store.num, "faces": faces}
    page = Path(out) / "index.html"
    if fresh("report", Path(out) / "report.json", inputs, lambda path: dict(json.loads(path.read_text()))):
        return page
    model, judge = load_generator(generator), find_scorer(scorer)
    made_with = {"generator": model.fingerprint, **scorer_inputs(judge, scorer)}
    differences = changed({k: store.inputs.get(k) for k in made_with}, made_with)
    if differences:
        raise UserError(f"{scores} was made with another generator or scorer ({'; '.join(differences)})")
    fitted = LinearBoundary.load(boundary)
    metrics = scorer_metrics(judge, scorer)
    build_report(model, judge, store, fitted, out, faces=faces, inputs=inputs, scorer_metrics=metrics)
    say(f"report: {page}")
    return page


def convert(file: str, out: str) -> Path:
    """Write any generator file as portable safetensors with its configuration; nothing in the file is run.

    Args:
        file: NVIDIA pickle, rosinality .pt, GenForce .pth or this package's own.
        out: the safetensors file to write.
    """
    generator = formats.convert(file, out)
    say(f"convert: {generator.name}, {generator.img_resolution}² in {out}")
    return Path(out)


def preview(
    *,
    out: str = "runs/preview/ffhq-mobile.safetensors",
    scorer: str = SCORER,
    steps: int = 1000,
    batch_size: int = 32,
    seed: int = 1,
) -> Path:
    """Train the preview head of ffhq-mobile: 128² pictures from its 64² hidden layer, for scoring.

    Args:
        out: file of the centre of truncation and the head; as checkpoints/ffhq-mobile.safetensors it is used.
        scorer: whose scores should agree; as in `score`, but differentiable.
        steps, batch_size: of training, each on new faces synthesised in full: minutes on a GPU, hours on two cores.
        seed: of the faces and the weights.
    """
    generator = load_mobile()
    if not Path(out).exists():
        save_tensors(out, {"w_mean": generator.w_mean}, {})
    train_preview(generator, find_scorer(scorer), out, steps=steps, batch_size=batch_size, seed=seed)
    say(f"preview: {out}")
    return Path(out)


def run_all(
    *,
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    num: int = 5000,
    seed: int = 0,
    truncation: float = 0.7,
    faces: int = 32,
    out: str = RUN,
    allow_numerics_change: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Score, boundary and report: every stage whose result is not fresh.

    Args:
        generator, scorer, num, seed, truncation, allow_numerics_change, trainer: see `score`.
        faces: see `report`.
        out: folder of the run; it gets scores/, boundary.safetensors and report/.

    Returns:
        the report's page.
    """
    say(f"scorer: {scorer}")
    store = score(
        generator=generator,
        scorer=scorer,
        num=num,
        seed=seed,
        truncation=truncation,
        out=f"{out}/scores",
        allow_numerics_change=allow_numerics_change,
        trainer=trainer,
    )
    page = Path(out) / "report" / "index.html"
    if is_rank_zero():  # both take seconds to a minute: the other ranks are done
        fitted = boundary(scores=str(store), out=f"{out}/boundary.safetensors")
        report(
            scores=str(store),
            boundary=str(fitted),
            generator=generator,
            scorer=scorer,
            faces=faces,
            out=f"{out}/report",
        )
    return page
