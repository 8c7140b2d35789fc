"""Edit faces by the thousand, through ``Trainer.predict``: faces are shared out over the ranks, files are numbered."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.artefacts import atomic_path, write_json
from ifgan_pl.editor import Editor
from ifgan_pl.errors import UserError
from ifgan_pl.numerics import map_micro_batches
from ifgan_pl.pictures import draw_strip, read_provenance, save_picture, to_uint8

CELL = 224
ROWS_A_STRIP = 12
PARTS = ".parts"


@dataclass(frozen=True)
class Column:
    """One column of a strip: an edit, and what it is called on the sheet and in file names."""

    label: str
    changes: Mapping[str, float]


@dataclass(frozen=True)
class EditPlan:
    """What is done to every face.

    Attributes:
        columns: the edits; one without changes is the original.
        title: of the strip.
        hold, unit, mode, metric, layers: see :meth:`ifgan_pl.editor.Editor.shifted`.
        truncation, resolution: see :meth:`ifgan_pl.editor.Editor.pictures`.
    """

    columns: Sequence[Column]
    title: str
    hold: Sequence[str] | str = ()
    unit: str = "std"
    mode: str = "shift"
    metric: str | None = None
    layers: Sequence[int] | None = None
    truncation: float = 0.7
    resolution: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def sweep(
    attribute: str, low: float, high: float, steps: int, *, unit: str = "std", mode: str = "shift"
) -> list[Column]:
    """Columns of one attribute over a range, with the original among them."""
    values = np.linspace(low, high, steps).round(6).tolist()
    suffix = "sd" if unit == "std" else ""
    columns = [Column(f"{v:+g} {suffix}".strip(), {attribute: v}) for v in values]
    if mode == "shift" and 0.0 in values:
        columns[values.index(0.0)] = Column("original", {})
        return columns
    return [Column("original", {}), *columns]


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
    """Edit ``codes`` by ``plan`` and write pictures into ``out``, encoding while the next batch is synthesised.

    Args:
        editor: see :class:`Editor`.
        codes: (N, …) as :meth:`Editor.codes` gives them.
        numbers: N numbers that name the faces, e.g. sample indices.
        plan: the edits.
        out: folder; the caller has made sure that it is empty.
        formats: ``png``, ``jpg`` or ``webp`` write every picture; ``strip`` one labelled sheet.
        scorer: pictures -> (n, m), with ``attributes``; adds scores to ``edits.csv``.
        batch_size: faces a step.
        skip: positions already done, by an interrupted run.
    """

    def __init__(
        self,
        editor: Editor,
        codes: Tensor,
        numbers: Sequence[int],
        plan: EditPlan,
        out: Path,
        *,
        formats: Sequence[str] = ("png", "strip"),
        scorer: Callable[[Tensor], Tensor] | None = None,
        batch_size: int = 4,
    ) -> None:
        super().__init__()
        self.generator = editor.generator
        self.editor = editor
        self.codes = codes
        self.numbers = list(numbers)
        self.plan = plan
        self.out = out
        self.formats = tuple(formats)
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
        self._pool = ThreadPoolExecutor(2)

    def predict_dataloader(self) -> DataLoader[list[int]]:
        """This rank's share of the faces that have no part yet."""
        todo = [p for p in range(len(self.codes)) if not self._part(p).exists()] if self.trainer.is_global_zero else []
        todo = self.trainer.strategy.broadcast(todo)
        mine = todo[self.trainer.global_rank :: self.trainer.world_size]
        return DataLoader(Faces(mine, self.batch_size), batch_size=None)

    def predict_step(self, positions: list[int], batch_idx: int) -> int:
        """Edit, synthesise and hand to the encoders. Returns the number of faces done."""
        if not positions:
            return 0
        plan = self.plan
        options = {k: getattr(plan, k) for k in ("hold", "unit", "mode", "metric", "layers")}
        codes = self.codes[positions]
        columns = []
        for column in plan.columns:
            edited = self.editor.shifted(codes, column.changes, **options) if column.changes else codes
            columns.append(self.editor.pictures(edited, truncation=plan.truncation, resolution=plan.resolution))
        scores = [map_micro_batches(self.scorer, c).cpu() for c in columns] if self.scorer is not None else None
        pixels = [to_uint8(c) for c in columns]
        self._drain(keep=2 * self.batch_size)
        for row, position in enumerate(positions):
            face = [p[row] for p in pixels]
            score = [s[row].tolist() for s in scores] if scores is not None else None
            self._writing.append(self._pool.submit(self._write_face, position, face, score))
        return len(positions)

    def on_predict_end(self) -> None:
        """Wait for the encoders: a failed write fails the run."""
        self._drain(keep=0)
        self._pool.shutdown()

    def _drain(self, keep: int) -> None:
        while len(self._writing) > keep:
            self._writing.pop(0).result()

    def _part(self, position: int) -> Path:
        return self.out / PARTS / f"{position:08d}.png"

    def _write_face(
        self, position: int, face: list[np.ndarray[Any, np.dtype[np.uint8]]], scores: list[list[float]] | None
    ) -> None:
        """Pictures first, then the part that says that this face is done."""
        number = self.numbers[position]
        files: list[str] = []
        for suffix in (f for f in self.formats if f != "strip"):
            for column, pixels in zip(self.plan.columns, face, strict=True):
                name = f"{number:06d}_{file_label(column)}.{suffix}"
                files.append(name)
                save_picture(self.out / name, pixels, self._provenance(number, column))
        row = Image.new("RGB", (CELL * len(face), CELL))
        for i, pixels in enumerate(face):
            row.paste(Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.BOX), (i * CELL, 0))
        save_picture(self._part(position), np.asarray(row), {"number": number, "files": files, "scores": scores})

    def _provenance(self, number: int, column: Column) -> dict[str, Any]:
        keys = ("hold", "unit", "mode", "metric", "layers", "truncation", "resolution")
        edit = {"edit": dict(column.changes), "index": number}
        return {**self.plan.provenance, **{k: getattr(self.plan, k) for k in keys}, **edit}

    def finish(self) -> list[Path]:
        """Assemble what spans faces, on rank 0 after all ranks are done: strips, ``edits.csv``, ``provenance.json``."""
        parts = [self._part(p) for p in range(len(self.codes))]
        undone = sum(not p.exists() for p in parts)
        if undone:
            raise UserError(f"{undone} of {len(parts)} faces are not done: run the same command again with --resume")
        infos = [read_provenance(p) for p in parts]
        results: list[Path] = []
        if "strip" in self.formats:
            for first in range(0, len(parts), ROWS_A_STRIP):
                chosen = slice(first, first + ROWS_A_STRIP)
                name = "strip.png" if len(parts) <= ROWS_A_STRIP else f"strip-{first // ROWS_A_STRIP:03d}.png"
                rows = [split_row(p, len(self.plan.columns)) for p in parts[chosen]]
                sheet = draw_strip(
                    rows,
                    title=self.plan.title,
                    row_labels=[str(i["number"]) for i in infos[chosen]],
                    column_labels=[c.label for c in self.plan.columns],
                    side=CELL,
                )
                save_picture(self.out / name, np.asarray(sheet), self._provenance(-1, Column("", {})))
                results.append(self.out / name)
        self._write_table(infos)
        record = {**self._provenance(-1, Column("", {})), "columns": [dict(c.changes) for c in self.plan.columns]}
        write_json(self.out / "provenance.json", record | {"edit": None, "index": self.numbers})
        shutil.rmtree(self.out / PARTS)
        return [*results, self.out / "edits.csv"]

    def _write_table(self, infos: list[dict[str, Any]]) -> None:
        attributes = list(getattr(self.scorer, "attributes", [])) if self.scorer is not None else []
        original = next((i for i, c in enumerate(self.plan.columns) if not c.changes), 0)
        header = ["index", "column", "edit", "file", *(f"{w}_{a}" for w in ("before", "after") for a in attributes)]
        with atomic_path(self.out / "edits.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for info in infos:
                for i, column in enumerate(self.plan.columns):
                    path = info["files"][i] if info["files"] else ""
                    row = [info["number"], column.label, json.dumps(dict(column.changes)), path]
                    if info["scores"]:
                        row += [f"{s:.4f}" for s in (*info["scores"][original], *info["scores"][i])]
                    writer.writerow(row)


def file_label(column: Column) -> str:
    """``smile+2_age-1``, or ``original``."""
    return "_".join(f"{name}{value:+g}" for name, value in column.changes.items()) or "original"


def split_row(path: Path, count: int) -> list[Image.Image]:
    """The cells of one face's part."""
    with Image.open(path) as image:
        row = image.convert("RGB")
    return [row.crop((i * CELL, 0, (i + 1) * CELL, CELL)) for i in range(count)]
