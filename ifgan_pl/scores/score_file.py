"""Scores without their codes: one small file, for the codes are a function of seed and index."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors, save_tensors, tensors_digest
from ifgan_pl.core.resources import find
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_codes
from ifgan_pl.scores.store import ScoreStore

FORMAT = "scores/1"


class ScoreFile:
    """Scores of samples 0 … num - 1 in a file of :func:`export_scores`.

    Attributes:
        num, inputs, numerics: as of the :class:`~ifgan_pl.scores.store.ScoreStore` that was exported.
        scores: (num, m) float32.
    """

    def __init__(self, path: str | Path) -> None:
        tensors, metadata = load_tensors(path)
        if metadata.get("format") != FORMAT or "scores" not in tensors:
            raise UserError(f"{path} is not a file of scores ({FORMAT}): export one from a score store")
        self.path, self.scores, self.num = path, tensors["scores"].float(), len(tensors["scores"])
        self.inputs, self.numerics = metadata["inputs"], metadata["numerics"]

    def load(self, ranks: Ranks = ALONE, *, num: int | None = None) -> tuple[Tensor, Tensor]:
        """Codes (n, …), drawn again, and scores (n, m), float32, of this rank's share; .5 ms a code on idle cores.

        Args:
            ranks: that share the samples.
            num: how many samples all ranks read; ``None``: all there are.

        Raises:
            UserError: the generator of that name is not the one whose images were scored.
        """
        generator = load_generator(self.inputs["generator_name"])
        if generator.fingerprint != self.inputs["generator"]:
            raise UserError(f"{self.path} was made with another {generator.name}: score with `python train.py score`")
        where = {k: self.inputs[k] for k in ("seed", "space", "truncation")}
        share = ranks.share(min(num or self.num, self.num))
        scores = self.scores[share.start : share.stop]
        if not len(share):
            return sample_codes(generator, range(1), **where).cpu()[:0], scores
        return sample_codes(generator, share, **where).cpu(), scores


def export_scores(store: ScoreStore, path: str | Path) -> None:
    """Write the scores of a complete store as one file, without the codes."""
    _, scores = store.load()
    save_tensors(path, {"scores": scores}, {"format": FORMAT, "inputs": store.inputs, "numerics": store.numerics})


def export_added(
    source: ScoreStore | ScoreFile, path: str | Path, scores: Mapping[str, Tensor], kinds: Sequence[str]
) -> None:
    """Write further scores of the first samples of a source as a file of their own, in 16 bits.

    Args:
        source: of which samples.
        path: of the file.
        scores: attribute -> (n,).
        kinds: of the attributes.
    """
    columns = torch.stack(list(scores.values()), 1).half()
    made = {"attributes": list(scores), "kinds": list(kinds), "scorer": f"labels, {tensors_digest({'s': columns})}"}
    metadata = {"format": FORMAT, "inputs": {**source.inputs, **made}, "numerics": source.numerics}
    save_tensors(path, {"scores": columns}, metadata)


def open_scores(name: str | Path) -> ScoreStore | ScoreFile:
    """A score store, or a file of scores: a path, or the name of a shipped one.

    Raises:
        UserError: neither.
    """
    if Path(name).is_dir() or not str(name).endswith((".safetensors", "-scores")):
        return ScoreStore.open(name)
    return ScoreFile(find(name, "checkpoints", (".safetensors",)))
