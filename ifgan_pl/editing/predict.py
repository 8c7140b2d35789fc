"""Edit faces by the thousand, through ``Trainer.predict``: faces are shared out over the ranks, files are numbered."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.cores import workers
from ifgan_pl.core.micro_batches import map_micro_batches, micro_batch_size
from ifgan_pl.editing.editor import Editor
from ifgan_pl.editing.outputs import Results
from ifgan_pl.generators.sampling import native_resolution
from ifgan_pl.images.write import to_uint8


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


class EditTask(pl.LightningModule):
    """Edit codes by the plan of ``results``, encoding while the next batch is synthesised.

    Args:
        editor: see :class:`Editor`.
        codes: (N, …) as :meth:`Editor.codes` gives them.
        results: where the images go, checked; its plan says what is done.
        scorer: images -> (n, m); gives the scores of ``edits.csv``.
        batch_size: faces a step, or more where a GPU would have less than a micro-batch of images; changes nothing in
            the result.
    """

    def __init__(
        self,
        editor: Editor,
        codes: Tensor,
        results: Results,
        *,
        scorer: Callable[[Tensor], Tensor] | None = None,
        batch_size: int = 4,
    ) -> None:
        super().__init__()
        self.generator = editor.generator
        self.editor = editor
        self.codes = codes
        self.results = results
        self.scorer = scorer
        self.batch_size = batch_size
        self._writing: list[Future[None]] = []

    def on_predict_start(self) -> None:
        """Move what computes to this rank's device and open the encoders."""
        for part in (self.generator, self.scorer):
            if isinstance(part, nn.Module):
                part.to(self.device).eval()
        self.editor.boundary.to(self.device)
        self.codes = self.codes.to(self.device)
        self._pool = ThreadPoolExecutor(max(2, workers()))

    def predict_dataloader(self) -> DataLoader[list[int]]:
        """This rank's share of the faces that are not done yet."""
        todo = self.results.begin() if self.trainer.is_global_zero else []
        todo = self.trainer.strategy.broadcast(todo)
        mine = todo[self.trainer.global_rank :: self.trainer.world_size]
        plan = self.results.plan
        native, _ = native_resolution(self.generator, plan.resolution)
        least = -(-micro_batch_size(self.device, native) // len(plan.columns))
        self.batch_size = max(self.batch_size, least)
        return DataLoader(Faces(mine, self.batch_size), batch_size=None)

    def predict_step(self, positions: list[int], batch_idx: int) -> int:
        """Edit, synthesise and hand to the encoders. Returns the number of faces done."""
        if not positions:
            return 0
        plan = self.results.plan
        codes = self.codes[positions]
        edited = [
            self.editor.shifted(codes, column.changes, **plan.options) if column.changes else codes
            for column in plan.columns
        ]
        rows = max(code.ndim for code in edited)  # shifted layers make W+ of W
        edited = [c if c.ndim == rows else c[:, None].expand(-1, self.generator.num_ws, -1) for c in edited]
        images = self.editor.images(torch.cat(edited), truncation=plan.truncation, resolution=plan.resolution)
        columns = torch.split(images, len(codes))
        scores = [map_micro_batches(self.scorer, c).cpu() for c in columns] if self.scorer is not None else None
        pixels = [to_uint8(c) for c in columns]
        self._drain(keep=2 * self.batch_size)
        for row, position in enumerate(positions):
            face = [p[row] for p in pixels]
            score = [s[row].tolist() for s in scores] if scores is not None else None
            self._writing.append(self._pool.submit(self.results.write_face, position, face, score))
        return len(positions)

    def on_predict_end(self) -> None:
        """Wait for the encoders: a failed write fails the run."""
        self._drain(keep=0)
        self._pool.shutdown()

    def _drain(self, keep: int) -> None:
        while len(self._writing) > keep:
            self._writing.pop(0).result()
