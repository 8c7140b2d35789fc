"""The score stage: sample, synthesise, score and store faces; or score image files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.messages import is_rank_zero, say
from ifgan_pl.generators import edit_space
from ifgan_pl.generators.sampling import (
    Space,
    check_space,
    check_unconditional,
    native_resolution,
)
from ifgan_pl.generators.truncation import check_truncation
from ifgan_pl.scorer.loading import SCORER, find_scorer, scorer_inputs
from ifgan_pl.scores.score_images import score_images
from ifgan_pl.scores.score_samples import ScoreSamples
from ifgan_pl.scores.store import ScoreStore
from ifgan_pl.stages.places import RUN
from ifgan_pl.stages.trainer import make_trainer, open_generator


def score(
    *,
    generator: str = "ffhq-mobile",
    scorer: str = SCORER,
    images: Sequence[str] = (),
    num: int = 5000,
    seed: int = 0,
    truncation: float = 0.7,
    space: Space | None = None,
    resolution: int | None = None,
    out: str | None = None,
    block_size: int = 1024,
    batch_size: int = 32,
    pictures: bool = False,
    compile: bool = False,
    allow_numerics_change: bool = False,
    trainer: Mapping[str, Any] | None = None,
) -> Path:
    """Sample faces, score them and store codes and scores; continues what is there. Or score image files.

    Args:
        generator: name of an embedded generator, or a file.
        scorer: checkpoint, shipped name, or ``module:callable``.
        images: folders and files of images: these are scored instead of samples, into a CSV with a row an image;
            broken ones are named and left out. Of the other options scorer, out, batch_size and trainer apply.
        num: how many faces: sample indices 0 to num - 1.
        seed: stream of the samples; sample i of a seed is the same face on any machine.
        truncation: psi of the sample, 0 to 1; 0.7 gives clean faces, 1 the whole variety.
        space: latent space of the stored codes; by default W where the generator has it.
        resolution: side of the scored images; by default the cheapest native one (for ffhq-mobile the 128² preview;
            1024 scores full synthesis, about ten times slower).
        out: folder of the store, by default runs/default/scores; with ``images`` a CSV, or a folder for scores.csv, by
            default runs/default/images.csv.
        block_size: samples a file; an interrupted run loses at most one block a rank.
        batch_size: samples between two updates of the progress bar; changes nothing in the result.
        pictures: also keep the scored images, as pictures/<index>.jpg in the store.
        compile: torch.compile of synthesis: half a minute the first time, pays most on a GPU (needs a C++ compiler).
        allow_numerics_change: continue a store begun on another device or precision.
        trainer: flags of the Lightning Trainer; ``precision`` (32-true, bf16-true, on a GPU 16-true) is that of
            synthesis, the scorer stays in float32.

    Returns:
        the folder, or the CSV.
    """
    if batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, got {batch_size}")
    trainer_, scorer_model = make_trainer(trainer, "scoring faces"), find_scorer(scorer)
    if images:
        table = Path(out or f"{RUN}/images.csv")
        table = table if table.suffix == ".csv" else table / "scores.csv"
        done, broken = score_images(scorer_model, images, table, trainer=trainer_, batch_size=batch_size)
        say(f"score: {done} images in {table}" + (f", {broken} broken left out" if broken else ""))
        return table
    out = out or f"{RUN}/scores"
    faces, numerics = open_generator(generator, trainer_, trainer, compile=compile)
    codes_in = space or edit_space(faces)
    check_space(faces, codes_in)
    check_truncation(faces, truncation)
    check_unconditional(faces)
    resolution = resolution or faces.resolutions[0]
    native_resolution(faces, resolution)
    inputs = {
        "generator": faces.fingerprint,
        "generator_name": faces.name,
        "family": faces.family,
        "num_ws": faces.num_ws,
        "space": codes_in,
        "seed": seed,
        "truncation": truncation,
        "resolution": resolution,
        **scorer_inputs(scorer_model, scorer),
    }
    store = ScoreStore(out, num=num, inputs=inputs, numerics=numerics, block_size=block_size, keep_images=pictures)
    if is_rank_zero():
        for note in store.begin(allow_numerics_change=allow_numerics_change):
            say(note)
        if not store.missing()[0]:
            say(f"score: up to date ({num} faces in {out})")
            if trainer_.world_size == 1:
                return Path(out)
    trainer_.predict(ScoreSamples(faces, scorer_model, store, batch_size=batch_size), return_predictions=False)
    trainer_.strategy.barrier()
    undone = sum(not store.path(block).exists() for block in store.blocks())
    if undone:
        raise UserError(f"{undone} of {len(store.blocks())} blocks are not done: run the same command again")
    say(f"score: {num} faces in {out}")
    return Path(out)
