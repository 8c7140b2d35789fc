"""Edit faces by the thousand, through ``Trainer.predict``: faces are shared out over the ranks, files are numbered."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.cores import workers
from ifgan_pl.core.micro_batches import map_micro_batches, micro_batch_size
from ifgan_pl.editing.aim import Aim
from ifgan_pl.editing.editor import Editor
from ifgan_pl.editing.outputs import EditOutputs
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import native_resolution
from ifgan_pl.images.write import Pixels, to_uint8


class Faces(Dataset[list[int]]):
    """Positions of faces in batches; this rank's share."""

    def __init__(self, positions: Sequence[int], batch_size: int) -> None:
        self.batches = [list(positions[i : i + batch_size]) for i in range(0, len(positions), batch_size)] or [[]]
        self.samples = len(positions)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, item: int) -> list[int]:
        return self.batches[item]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


class Retouch(Protocol):
    """What faces need that no generator made, beside their codes; see :class:`ifgan_pl.photos.editing.FaceRetouch`."""

    def generator(self, position: int, generator: Generator) -> Generator:
        """The generator as it shows this face."""
        ...

    def __call__(self, position: int, columns: Sequence[Tensor]) -> tuple[list[Tensor], list[Mapping[str, Any]]]:
        """What is shown of a face instead of the generator's images, and what ``edits.csv`` says of each column.

        Args:
            position: of the face.
            columns: the generator's image (1, 3, H, W) in [-1, 1] for each column.
        """
        ...


class EditedFaces(NamedTuple):
    """A batch of faces: their positions, of each the image (H, W, 3) uint8 of every column, perhaps its scores, and
    perhaps its notes for ``edits.csv``."""

    positions: list[int]
    images: list[list[Pixels]]
    scores: list[list[list[float]]] | None = None
    notes: list[list[Mapping[str, Any]]] | None = None

    @property
    def samples(self) -> int:
        """How many faces that is."""
        return len(self.positions)


class EditFaces(pl.LightningModule):
    """Edit codes by the plan of ``outputs``, which its :class:`FaceWriter` fills.

    Args:
        editor: see :class:`Editor`.
        codes: (N, …) as :meth:`Editor.codes` gives them.
        outputs: where the images go, checked; its plan says what is done.
        scorer: images -> (n, m); gives the scores of ``edits.csv``.
        retouch: of faces in photographs; these are edited one by one.
        aim: of the mode ``aim``.
        batch_size: faces a step, or more where a GPU would have less than a micro-batch of images; changes nothing in
            the result.
    """

    def __init__(
        self,
        editor: Editor,
        codes: Tensor,
        outputs: EditOutputs,
        *,
        scorer: Callable[[Tensor], Tensor] | None = None,
        retouch: Retouch | None = None,
        aim: Aim | None = None,
        batch_size: int = 4,
    ) -> None:
        super().__init__()
        self.generator = editor.generator
        self.editor = editor
        self.codes = codes
        self.outputs = outputs
        self.scorer = scorer
        self.retouch = retouch
        self.aim = aim
        self.batch_size = batch_size

    def configure_callbacks(self) -> list[pl.Callback]:
        """The writer."""
        return [FaceWriter(self.outputs)]

    def on_predict_start(self) -> None:
        """Move what computes to this rank's device."""
        for part in (self.generator, self.scorer, self.aim and self.aim.scorer):
            if isinstance(part, nn.Module):
                part.to(self.device).eval()
        self.editor.boundary.to(self.device)
        self.codes = self.codes.to(self.device)

    def predict_dataloader(self) -> DataLoader[list[int]]:
        """This rank's share of the faces that are not done yet."""
        todo = self.outputs.begin() if self.trainer.is_global_zero else []
        todo = self.trainer.strategy.broadcast(todo)
        mine = todo[self.trainer.global_rank :: self.trainer.world_size]
        plan = self.outputs.plan
        native, _ = native_resolution(self.generator, plan.resolution)
        least = -(-micro_batch_size(self.device, native) // len(plan.columns))
        size = max(self.batch_size, least) if self.retouch is None else 1
        return DataLoader(Faces(mine, size), batch_size=None)

    def predict_step(self, positions: list[int], batch_idx: int) -> EditedFaces:
        """Edit and synthesise a batch."""
        if not positions:
            return EditedFaces([], [])
        editor = self.editor
        if self.retouch is not None:
            editor = Editor(self.retouch.generator(positions[0], self.generator), editor.boundary)
        codes = self.codes[positions]
        columns, notes = self.aimed(editor, codes) if self.aim is not None else (self.shifted(editor, codes), None)
        if self.retouch is not None:
            columns, found = self.retouch(positions[0], columns)
            notes = [[{**one, **other} for one, other in zip(found, notes[0], strict=True)] if notes else found]
        scores = None
        if self.scorer is not None:
            scores = torch.stack([map_micro_batches(self.scorer, c).cpu() for c in columns], dim=1).tolist()
        pixels = [to_uint8(column) for column in columns]
        return EditedFaces(positions, [list(face) for face in zip(*pixels, strict=True)], scores, notes)

    def shifted(self, editor: Editor, codes: Tensor) -> list[Tensor]:
        """The images of each column."""
        plan = self.outputs.plan
        edited = [editor.shifted(codes, c.changes, **plan.options) if c.changes else codes for c in plan.columns]
        rows = max(code.ndim for code in edited)  # shifted layers make W+ of W
        edited = [c if c.ndim == rows else c[:, None].expand(-1, self.generator.num_ws, -1) for c in edited]
        images = editor.images(torch.cat(edited), truncation=plan.truncation, resolution=plan.resolution)
        return list(torch.split(images, len(codes)))

    def aimed(self, editor: Editor, codes: Tensor) -> tuple[list[Tensor], list[list[Mapping[str, Any]]]]:
        """The images of each column, each edit as far as each face needs; of each face the notes of each column."""
        assert self.aim is not None
        plan = self.outputs.plan
        views: dict[str, Any] = {"truncation": plan.truncation, "resolution": plan.resolution}
        originals = editor.images(codes, **views)
        columns, notes = [], [list[Mapping[str, Any]]() for _ in codes]
        for column in plan.columns:
            images, words = originals, [{"share": "", "seen": ""}] * len(codes)
            if column.changes:
                images, found = self.aim.edited(editor, codes, originals, column.changes, **views, **plan.options)
                words = [one.words() for one in found]
            columns.append(images)
            for face, said in zip(notes, words, strict=True):
                face.append(said)
        return columns, notes


class FaceWriter(BasePredictionWriter):
    """Encode and write faces in threads, while the next batch is synthesised."""

    def __init__(self, outputs: EditOutputs) -> None:
        super().__init__(write_interval="batch")
        self.outputs = outputs
        self._pool: ThreadPoolExecutor | None = None
        self._writing: deque[Future[None]] = deque()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the threads."""
        self._pool = ThreadPoolExecutor(max(2, workers()))

    def write_on_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: EditedFaces, *_: Any
    ) -> None:
        """Hand a batch to the threads, once no more than two batches wait there."""
        assert self._pool is not None
        self._finish(keep=2 * prediction.samples)
        none: Sequence[Any] = [None] * prediction.samples
        scores, notes = prediction.scores or none, prediction.notes or none
        for face in zip(prediction.positions, prediction.images, scores, notes, strict=True):
            self._writing.append(self._pool.submit(self.outputs.write_face, *face))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the threads: a face that cannot be written fails the run."""
        self._finish(keep=0)
        if self._pool is not None:
            self._pool.shutdown()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write no more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _finish(self, keep: int) -> None:
        while len(self._writing) > keep:
            self._writing.popleft().result()
