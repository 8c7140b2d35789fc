from html.parser import HTMLParser
from typing import Any

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.report.rescoring import Rescoring
from ifgan_pl.report.tables import fit_table, noise_table, precision_table, scorer_table, table

BOOTSTRAP = {
    "refit_cosine": 0.9,
    "cosine_low": 0.94,
    "cosine_high": 0.96,
    "noise": 0.111,
    "agreement": 0.889,
    "samples_for_95": 1234.4,
}


class Cells(HTMLParser):
    """The texts of a table's rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.get_starttag_text() in ("<th>", "<td>"):
            self.rows[-1][-1] += data


def boundary(**figures: dict[str, Any]) -> LinearBoundary:
    normals, lambdas = torch.eye(len(figures) or 1), torch.full((len(figures) or 1,), 0.5)
    metrics = {"attributes": figures} if figures else {}
    return LinearBoundary(normals, attributes=list(figures) or ["own"], space="w", lambdas=lambdas, metrics=metrics)


def test_cells_are_readable_and_run_nothing() -> None:
    text = table(["a", "<b>"], [[None, 0.12345], [12345, "<script>"]])
    assert Cells(text).rows == [["a", "<b>"], ["–", "0.123"], ["12,345", "<script>"]]
    assert "<script>" not in text


def test_the_scorers_figures_stand_in_the_order_of_its_scores() -> None:
    text = scorer_table({"accuracy/male": 0.25, "accuracy/smile": 0.5, "r/age": 0.75}, ["smile", "male", "age"])
    assert Cells(text.split("<p")[0]).rows == [
        ["attribute", "accuracy", "r"],
        ["smile", "0.500", "–"],
        ["male", "0.250", "–"],
        ["age", "–", "0.750"],
    ]


def test_figures_of_the_fit_are_those_of_the_boundary() -> None:
    text = fit_table(boundary(smile={"r2": 0.25, "train": 4500, "accuracy_median": 0.75}))
    header, row = Cells(text.split("<p")[0]).rows
    assert dict(zip(header, row, strict=True)) == {
        "attribute": "smile",
        "accuracy, validation": "–",
        "remaining, midpoint": "–",
        "remaining, median": "0.750",
        "linearity R²": "0.250",
        "fitted on": "4,500",
        "validated on": "–",
        "λ": "0.500",
    }
    assert Cells(fit_table(boundary()).split("<p")[0]).rows[1] == ["own", *["–"] * 6, "0.500"]  # not fitted here


def test_noise_is_shown_where_refits_measured_it() -> None:
    all_noise = {k: v for k, v in BOOTSTRAP.items() if k != "samples_for_95"} | {"noise": 1.0, "agreement": 0.0}
    text = noise_table(boundary(smile={"bootstrap": BOOTSTRAP}, age={}, male={"bootstrap": all_noise}))
    assert Cells(text.split("<p")[0]).rows[1:] == [
        ["smile", "0.940 to 0.960", "11 %", "0.889", "1,234"],
        ["male", "0.940 to 0.960", "100 %", "0.000", "–"],
    ]
    assert noise_table(boundary(smile={})) == noise_table(boundary()) == ""


def test_precision_is_a_column_for_each_sort_of_edit() -> None:
    single, held = torch.tensor([[1.0, 0.5], [0.25, 1.0]]), torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    text = precision_table(Rescoring(("smile", "age"), 1.0, 3, single=single, held=held))
    names, *rows = Cells(text).rows
    assert names == ["attribute", "precision, single", "precision, hold all"]
    assert [float(cell) for row in rows for cell in row[1:]] == pytest.approx([2, 10, 4, 10])
