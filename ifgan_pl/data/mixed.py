"""Several data sets as one."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.labelled import AttributeData, LabelTable


class MixedData(AttributeData):
    """Several data sets as one: what one does not label is missing there, and masked.

    ``main`` decides on the attributes, on selection and on what is reported; ``extra`` only adds training rows.

    Args:
        main: the data that the scorer is for.
        extra: further data; of their attributes those of ``main`` are taken.
        loading: ``batch_size``, ``num_workers``, ``seed`` of :class:`AttributeData`; those of the parts do not matter.
    """

    def __init__(self, main: AttributeData, extra: list[AttributeData], **loading: Any) -> None:
        sizes = {part.image_size for part in (main, *extra)}
        if len(sizes) > 1:
            raise UserError(f"parts of a mixture need one image_size, got {', '.join(map(str, sorted(sizes)))}")
        super().__init__(image_size=main.image_size, cache_dir=main.cache_dir, **loading)
        self.parts = [main, *extra]

    def read(self) -> LabelTable:
        """The parts' rows one after another, with the columns of ``main``.

        Raises:
            UserError: a part labels none of the attributes of ``main``.
        """
        attributes = self.parts[0].attributes
        files, targets, split = [], [], []
        for part in self.parts:
            table = part.table
            if not set(table.attributes) & set(attributes):
                raise UserError(f"nothing in common between {', '.join(table.attributes)} and {', '.join(attributes)}")
            columns = torch.full((len(table.files), len(attributes)), torch.nan)
            for column, name in enumerate(attributes):
                if name in table.attributes:
                    columns[:, column] = table.targets[:, list(table.attributes).index(name)]
            files += list(table.files)
            targets.append(columns)
            split.append(np.where((part is self.parts[0]) | (table.split == "train"), table.split, "unused"))
        return LabelTable(attributes, files, torch.cat(targets), np.concatenate(split))

    def build(self) -> list[Path]:
        """Make the image arrays of all parts."""
        return [path for part in self.parts for path in part.build()]
