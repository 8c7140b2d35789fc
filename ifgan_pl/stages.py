"""The stages as functions: score, boundary, report, edit. Each ends in files, and says when its result is fresh.

``cli.py`` makes ``train.py`` and ``edit.py`` of them; from Python they are called with the same keywords.
"""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn

from ifgan_pl import __version__
from ifgan_pl.artefacts import file_digest, json_digest, load_tensors, save_tensors
from ifgan_pl.attributes import attribute_index
from ifgan_pl.boundary import LinearBoundary
from ifgan_pl.data.labels import read_labels
from ifgan_pl.data.store import ScoreStore, changed
from ifgan_pl.editor import Editor, parse_changes
from ifgan_pl.errors import UserError
from ifgan_pl.fit import fit_boundary
from ifgan_pl.generators import Generator, edit_space, formats, load_generator, load_mobile
from ifgan_pl.generators.base import parameter_digest
from ifgan_pl.numerics import numerics_of
from ifgan_pl.pictures import FORMATS
from ifgan_pl.reporting import build_report
from ifgan_pl.resources import find
from ifgan_pl.sampling import check_space, check_truncation, native_resolution, parse_indices
from ifgan_pl.scorer import load_scorer
from ifgan_pl.tasks.edit import PARTS, Column, EditPlan, EditTask, sweep
from ifgan_pl.tasks.preview import train_preview
from ifgan_pl.tasks.progress import SampleProgress
from ifgan_pl.tasks.score import ScoreTask

RUN = "runs/default"
SCORER = "scorer-faces"
Scorer = Callable[[Tensor], Tensor]


def is_rank_zero() -> bool:
    """Whether this process speaks for all."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def say(message: str) -> None:
    """Tell the user, once."""
    if is_rank_zero():
        print(message, flush=True)


def find_scorer(name: str) -> Scorer:
    """A scorer by name.

    Args:
        name: a checkpoint of :class:`ifgan_pl.scorer.FacialAttributeScorer`, the name of a shipped one
            (``scorer-faces``), or ``package.module:attribute``: a callable of the user's that takes pictures
            (N, 3, H, W) in [-1, 1], gives scores (N, m), and
            lists its ``attributes``.
    """
    module, colon, attribute = name.partition(":")
    if not colon or Path(name).exists():
        return load_scorer(find(name, "checkpoints", (".ckpt",)))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"no scorer at {name!r} ({error})") from None
    scorer: Scorer = found() if isinstance(found, type) else found
    if not hasattr(scorer, "attributes"):
        raise UserError(f"the scorer {name!r} must list its score columns as .attributes")
    return scorer


def scorer_inputs(scorer: Scorer, name: str) -> dict[str, Any]:
    """What a manifest says of a scorer."""
    attributes = list(getattr(scorer, "attributes", []))
    kinds = list(getattr(scorer, "kinds", ["continuous"] * len(attributes)))
    fingerprint = parameter_digest(scorer) if isinstance(scorer, nn.Module) else name
    return {"scorer": fingerprint, "attributes": attributes, "kinds": kinds}


def make_trainer(flags: Mapping[str, Any] | None, progress: str) -> pl.Trainer:
    """A Trainer for ``predict``: no logger, no checkpoints, a progress bar in samples; ``flags`` are the user's."""
    defaults: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    given = {k: v for k, v in (flags or {}).items() if v is not None}
    show = given.get("enable_progress_bar", True)
    given["enable_progress_bar"] = False
    callbacks = [SampleProgress(progress)] if show else []
    return pl.Trainer(**{**defaults, **given, "callbacks": callbacks, "use_distributed_sampler": False})


def score(
    *,
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    num: int = 5000,
    seed: int = 0,
    truncation: float = 0.7,
    space: str | None = None,
    resolution: int | None = None,
    out: str = f"{RUN}/scores",
    block_size: int = 1024,
    batch_size: int = 32,
    allow_numerics_change: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Sample faces, score them and store codes and scores; continues what is there.

    Args:
        generator: name of an embedded generator, or a file.
        scorer: checkpoint, shipped name, or ``module:callable``.
        num: how many faces: sample indices 0 to num - 1.
        seed: stream of the samples; sample i of a seed is the same face on any machine.
        truncation: psi of the sample, 0 to 1; 0.7 gives clean faces, 1 the whole variety.
        space: latent space of the stored codes (z, w, w+); by default W where the generator has it.
        resolution: side of the scored pictures; by default the cheapest native one (for ffhq-mobile the 128² preview;
            1024 scores full synthesis, about ten times slower).
        out: folder of the store.
        block_size: samples a file; an interrupted run loses at most one block a rank.
        batch_size: samples between two updates of the progress bar; changes nothing in the result.
        allow_numerics_change: continue a store begun on another device or precision.
        trainer: flags of the Lightning Trainer.

    Returns:
        the folder.
    """
    trainer_ = make_trainer(trainer, "scoring faces")
    faces, judge = load_generator(generator), find_scorer(scorer)
    space = space or edit_space(faces)
    check_space(faces, space)
    check_truncation(faces, truncation)
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
    numerics = numerics_of(trainer_.strategy.root_device).as_dict()
    store = ScoreStore(out, num=num, inputs=inputs, numerics=numerics, block_size=block_size)
    if is_rank_zero():
        for note in store.begin(allow_numerics_change=allow_numerics_change):
            say(note)
        if not store.missing()[0]:
            say(f"score: fresh ({num} faces in {out})")
            if trainer_.world_size == 1:
                return Path(out)
    trainer_.predict(ScoreTask(faces, judge, store, batch_size=batch_size), return_predictions=False)
    trainer_.strategy.barrier()
    say(f"score: {num} faces in {out}")
    return Path(out)


def boundary(
    *,
    scores: str = f"{RUN}/scores",
    latents: str | None = None,
    attributes: Sequence[str] = (),
    space: str = "w",
    family: str = "",
    selection: str = "all",
    solver: str = "ridge",
    l2: float = 1.0,
    metric: str = "covariance",
    seed: int = 0,
    out: str = f"{RUN}/boundary.safetensors",
) -> Path:
    """Fit the boundaries of all attributes at once, on latents that live on the device.

    Args:
        scores: a store of `score`; or, with ``latents``, ``<attribute>_scores.npy`` (N, 1) or a CSV with a column an
            attribute (and ``index`` or ``file`` to name rows of the latents).
        latents: codes from elsewhere: ``.npy`` (N, d) or ``.safetensors`` with ``latents``.
        attributes: which columns; by default all.
        space: latent space of ``latents`` (a store knows its own).
        family: latent family of ``latents``, e.g. stylegan2-ffhq; empty serves any generator of that dimension.
        selection: ``all`` samples, or the paper's ``extremes`` (top and bottom 2 %).
        solver: how the hyperplanes are fitted.
        l2: penalty, relative to the mean variance of a coordinate; 1 edits better than what predicts best (about .1).
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
        "attributes": list(attributes),
    }
    if latents is None:
        store = ScoreStore.open(scores)
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
        selection=selection,
        solver=solver,
        l2=l2,
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


def read_latents(path: str) -> Tensor:
    """Codes of a ``.npy`` (no pickles) or ``.safetensors`` file (key ``latents``, or its only tensor), float32.

    Raises:
        UserError: missing, unreadable, not two- or three-dimensional, or not finite.
    """
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    if path.endswith(".npy"):
        try:
            codes = torch.from_numpy(np.load(path, allow_pickle=False)).float()
        except (ValueError, OSError, TypeError) as error:
            raise UserError(f"{path} is not a readable .npy of numbers ({error})") from None
    else:
        tensors, _ = load_tensors(path)
        if "latents" not in tensors and len(tensors) != 1:
            raise UserError(f"{path} holds {', '.join(tensors)}: latents must be its only tensor, or be called latents")
        codes = tensors.get("latents", next(iter(tensors.values()))).float()
    if codes.ndim not in (2, 3) or len(codes) == 0:
        raise UserError(f"{path}: latents are (N, d) or (N, num_ws, d), got {tuple(codes.shape)}")
    if not bool(codes.isfinite().all()):
        bad = int((~codes.flatten(1).isfinite().all(dim=1)).sum())
        raise UserError(f"{path}: {bad} of {len(codes)} latents hold NaN or infinite values")
    return codes


def digest_of(path: str) -> str:
    """Fingerprint of a user's file."""
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    return file_digest(path)


def fresh(stage: str, out: str | Path, inputs: Mapping[str, Any], read: Callable[[Path], Mapping[str, Any]]) -> bool:
    """Whether a result carries the fingerprint of these inputs; says so, or names what changed."""
    if not Path(out).exists():
        return False
    try:
        old = dict(read(Path(out)).get("inputs", {}))
    except (UserError, json.JSONDecodeError):
        say(f"{stage}: {out} cannot be read; making it again")
        return False
    differences = changed(old, json.loads(json.dumps(dict(inputs))))
    say(f"{stage}: {'; '.join(differences)}; making it again" if differences else f"{stage}: fresh ({out})")
    return not differences


def edit(
    *,
    generator: str = "ffhq-mobile",
    boundary: str | None = None,
    attribute: str | None = None,
    edits: Sequence[str] = (),
    hold: Sequence[str] = (),
    seeds: str | None = None,
    latents: str | None = None,
    space: str | None = None,
    seed: int = 0,
    limits: tuple[float, float] = (-3.0, 3.0),
    steps: int = 7,
    unit: str = "std",
    mode: str = "shift",
    metric: str = "stored",
    layers: str | None = None,
    truncation: float = 0.7,
    resolution: int | None = None,
    formats: Sequence[str] = ("png", "strip"),
    scorer: str | None = None,
    out: str = "results",
    resume: bool = False,
    batch_size: int = 4,
    trainer: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Edit faces and write pictures; see ``edit.py --help`` for what each option means.

    Returns:
        the files to look at.

    Raises:
        UserError: a request that nothing can satisfy, or an output folder that is not empty.
    """
    if (attribute is None) == (not edits):
        raise UserError("give either --attribute NAME (over a range) or --edit NAME=STRENGTH … (several at once)")
    if steps < 1 or not np.isfinite(limits).all():
        raise UserError(f"--steps must be at least 1 and --range two finite numbers, got {steps} and {limits}")
    unknown = [f for f in formats if f not in (*FORMATS, "strip")]
    if unknown:
        raise UserError(f"unknown format {unknown[0]!r}; known: {', '.join(FORMATS)}, strip")
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise UserError(f"{out} is not empty: choose another --out, or continue an interrupted run with --resume")
    trainer_ = make_trainer(trainer, "editing faces")
    faces = load_generator(generator)
    found = find(boundary or default_boundary(faces), "checkpoints", (".safetensors",))
    editor = Editor(faces, LinearBoundary.load(found))
    if default_name(editor.boundary) not in ("", faces.name):
        say(f"note: a boundary of {default_name(editor.boundary)} serves {faces.name}: both are {faces.family}")
    if latents is None:
        numbers = parse_indices(seeds or "0-7")
        codes = editor.codes(numbers, seed=seed, truncation=truncation)
    else:
        given = read_latents(latents)
        numbers = parse_indices(seeds) if seeds else list(range(len(given)))
        if max(numbers) >= len(given):
            raise UserError(f"{latents} holds {len(given)} codes: --seeds names number {max(numbers)}")
        codes = editor.codes(latents=given[numbers], space=space, truncation=truncation)
    changes = parse_changes(edits)
    if attribute is not None:
        columns = sweep(attribute, *limits, steps, unit=unit, mode=mode)
        title = attribute
    else:
        suffix = " sd" if unit == "std" else ""
        title = ", ".join(f"{name} {value:+g}{suffix}" for name, value in changes.items())
        columns = [Column("original", {}), Column("edited", changes)]
    held: Sequence[str] | str = "all" if list(hold) == ["all"] else tuple(hold)
    title += f", hold {' '.join(hold)}" if hold else ""
    native, _ = native_resolution(faces, resolution)
    if native != faces.img_resolution:
        say(f"note: {native}² pictures of {faces.name} are its cheap native ones, not full synthesis")
        title += f" ({native}² native)"
    plan = EditPlan(
        columns=columns,
        title=f"{faces.name}: {title}",
        hold=held,
        unit=unit,
        mode=mode,
        metric=None if metric == "stored" else metric,
        layers=parse_indices(layers) if layers else None,
        truncation=truncation,
        resolution=resolution,
        provenance={
            "generator": faces.name,
            "generator_digest": faces.fingerprint,
            "boundary": Path(found).name,
            "boundary_digest": file_digest(found),
            "seed": seed if latents is None else None,
            "latents": Path(latents).name if latents else None,
            "version": __version__,
            "numerics": numerics_of(trainer_.strategy.root_device).as_dict(),
        },
    )
    for column in columns:  # refuse what cannot be done before anything is synthesised or written
        if column.changes:
            options = {k: getattr(plan, k) for k in ("hold", "unit", "mode", "metric", "layers")}
            editor.shifted(codes[:1], column.changes, **options)
    judge = find_scorer(scorer) if scorer else None
    task = EditTask(editor, codes, numbers, plan, folder, formats=formats, scorer=judge, batch_size=batch_size)
    if resume and folder.exists() and any(folder.iterdir()) and not (folder / PARTS).exists():
        raise UserError(f"{out} holds no interrupted run: choose another --out")
    trainer_.predict(task, return_predictions=False)
    trainer_.strategy.barrier()
    results = task.finish() if is_rank_zero() else []
    for path in results:
        say(f"edit: {path}")
    return results


def default_name(boundary: LinearBoundary) -> str:
    """The generator whose sample a boundary was fitted on; empty where that is not known."""
    known = str(boundary.provenance.get("generator", ""))
    return known or ("ffhq-mobile" if boundary.family == "stylegan2-ffhq" else "")


def default_boundary(generator: Generator) -> str:
    """The shipped boundary of a generator's family."""
    if generator.family != "stylegan2-ffhq":
        raise UserError(f"no boundary ships for {generator.name}: give one with --boundary")
    return "ffhq-mobile-w"


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
    store = ScoreStore.open(scores)
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
    build_report(model, judge, store, fitted, out, faces=faces, inputs=inputs)
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
    *, out: str = "runs/preview/ffhq-mobile.safetensors", num: int = 768, epochs: int = 60, seed: int = 1
) -> Path:
    """Train the preview head of ffhq-mobile: 128² pictures from its 64² hidden layer, for scoring.

    Args:
        out: file of the centre of truncation and the head; as checkpoints/ffhq-mobile.safetensors it is used.
        num: faces synthesised in full, 4 MB of memory each; with the defaults half an hour on two cores.
        epochs: passes over them.
        seed: of the faces, the weights and the order.
    """
    generator = load_mobile()
    if not Path(out).exists():
        save_tensors(out, {"w_mean": generator.w_mean}, {})
    train_preview(generator, out, num=num, epochs=epochs, seed=seed)
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
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Score, boundary and report: every stage whose result is not fresh.

    Args:
        generator, scorer, num, seed, truncation, trainer: see `score`.
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
