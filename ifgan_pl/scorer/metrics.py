"""Metrics of a multi-task scorer with missing labels, exact under distribution."""

from collections.abc import Mapping
from typing import Any

import torch
import torchmetrics
import torchmetrics.functional as tmf
import torchmetrics.functional.classification as tmc
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

CALIBRATION_BINS = 15


class AttributeMetrics(torchmetrics.Metric):
    """Per attribute: accuracy, AUROC, average precision, F1 and calibration error (binary); MAE and r (continuous).

    Scores and labels are kept and gathered, so that any number of processes gives what one gives. A missing label is
    NaN; a row of NaN, with which a sampler pads, counts nowhere.

    Args:
        attributes: name -> ``binary`` or ``continuous``, in the order of the columns.
    """

    full_state_update = False
    units: list[Tensor]
    targets: list[Tensor]

    def __init__(self, attributes: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attributes = dict(attributes)
        self.add_state("units", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, units: Tensor, target: Tensor) -> None:
        """Add samples.

        Args:
            units: (N, m) probabilities and values.
            target: (N, m) labels in the same units, NaN where missing; a probability counts as 1 from .5 on.
        """
        if units.shape != target.shape or units.shape[1] != len(self.attributes):
            raise ValueError(f"(N, {len(self.attributes)}) twice expected, got {units.shape} and {target.shape}")
        self.units.append(units.detach().double())
        self.targets.append(target.detach().double())

    def compute(self) -> dict[str, Tensor]:
        """``metric/attribute`` -> scalar float64; NaN where the labels do not define it (one class, one sample)."""
        units, targets = self.gathered()
        return attribute_metrics(units, targets, self.attributes)

    def gathered(self) -> tuple[Tensor, Tensor]:
        """The scores and labels of this process, or of all within ``compute`` and ``sync_context``; (N, m) float64."""
        empty = torch.zeros(0, len(self.attributes), dtype=torch.float64, device=self.device)
        units, targets = (dim_zero_cat(part if len(part) else [empty]) for part in (self.units, self.targets))
        return units, targets


def attribute_metrics(units: Tensor, targets: Tensor, attributes: Mapping[str, str]) -> dict[str, Tensor]:
    """The metrics of :class:`AttributeMetrics` of (N, m) scores in units and (N, m) labels."""
    result: dict[str, Tensor] = {}
    for column, (name, kind) in enumerate(attributes.items()):
        known = ~targets[:, column].isnan()
        x, y = units[known, column].double(), targets[known, column].double()
        if kind == "binary":
            for metric, value in binary_metrics(x, (y >= 0.5).long()).items():
                result[f"{metric}/{name}"] = value
        else:
            result[f"mae/{name}"] = (x - y).abs().mean()
            spread = len(x) > 1 and bool(x.std() > 0) and bool(y.std() > 0)
            result[f"r/{name}"] = tmf.pearson_corrcoef(x, y) if spread else x.new_tensor(torch.nan)
    return result


def binary_metrics(probability: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Accuracy at .5, AUROC, average precision, F1 and expected calibration error of (N,) probabilities, 0/1 labels."""
    names = ("accuracy", "auroc", "ap", "f1", "ece")
    if len(label) == 0:
        return {name: probability.new_tensor(torch.nan) for name in names}
    accuracy = ((probability >= 0.5) == label.bool()).double().mean()
    both = 0 < int(label.sum()) < len(label)
    nan = probability.new_tensor(torch.nan)
    values = (
        accuracy,
        tmc.binary_auroc(probability, label) if both else nan,
        tmc.binary_average_precision(probability, label) if both else nan,
        tmc.binary_f1_score(probability, label) if both else nan,
        tmc.binary_calibration_error(probability, label, n_bins=CALIBRATION_BINS),
    )
    return {name: value.double() for name, value in zip(names, values, strict=True)}


def metrics_table(metrics: Mapping[str, float], attributes: Mapping[str, str]) -> str:
    """``metric/attribute`` -> value, as a table in Markdown: one row an attribute, one column a metric."""
    columns = {
        "binary": ("accuracy", "auroc", "ap", "f1", "ece"),
        "continuous": ("mae", "r"),
    }
    lines = []
    for kind, names in columns.items():
        rows = [name for name, k in attributes.items() if k == kind]
        if rows:
            lines += ["| " + " | ".join((kind, *names)) + " |", "|" + "---|" * (len(names) + 1)]
            for row in rows:
                values = [metrics.get(f"{name}/{row}", float("nan")) for name in names]
                lines.append("| " + " | ".join((row, *(f"{value:.3f}" for value in values))) + " |")
            lines.append("")
    return "\n".join(lines)
