import base64
import io
import re

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.editing.editor import Editor
from ifgan_pl.report.figures import STRIP_STEPS, embed, heat_maps, histograms, strips
from tests.report.fakes import LinearGenerator


def embedded(element: str) -> Image.Image:
    """The image inside an HTML element."""
    found = re.fullmatch(r'<img src="data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)">', element)
    assert found is not None
    return Image.open(io.BytesIO(base64.b64decode(found[2])))


def test_figures_and_images_lie_inside_the_page() -> None:
    figure = heat_maps({"one": np.eye(2)}, ["a", "b"])
    assert embedded(embed(figure)).format == "PNG"
    assert embed(figure) == embed(heat_maps({"one": np.eye(2)}, ["a", "b"]))  # no time, no version in it
    photo = embedded(embed(Image.new("RGB", (8, 6), (200, 0, 0))))
    assert (photo.format, photo.size) == ("JPEG", (8, 6))


def texts(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in axis.texts] for axis in figure.axes]


def test_heat_maps_show_their_numbers_on_one_scale() -> None:
    figure = heat_maps({"small": [[0.1, 0.2], [0, 0]], "large": [[1.5, -2], [0, 0]]}, ["a", "b"], rows="r", columns="c")
    assert texts(figure) == [["0.10", "0.20", "0.00", "0.00"], ["1.50", "-2.00", "0.00", "0.00"]]
    assert [axis.images[0].get_clim() for axis in figure.axes] == [(-2, 2), (-2, 2)]
    assert [(axis.get_title(), axis.get_ylabel(), axis.get_xlabel()) for axis in figure.axes] == [
        ("small", "r", "c"),
        ("large", "r", "c"),
    ]
    assert heat_maps({"zero": np.zeros((1, 1))}, ["a"]).axes[0].images[0].get_clim() == (-1, 1)
    assert heat_maps({"zero": np.zeros((1, 1))}, ["a"], limit=3).axes[0].images[0].get_clim() == (-3, 3)


def test_histograms_count_every_score_that_is_there() -> None:
    scores = torch.tensor([[0.0, 1.0], [2.0, torch.nan], [4.0, 5.0]])
    figure = histograms(scores, ["a", "b"])
    counts = [sum(patch.get_height() for patch in axis.patches) for axis in figure.axes]  # type: ignore[attr-defined]
    assert counts == [3, 2]


def test_a_strip_holds_all_other_attributes() -> None:
    """The fake's colour is its code: along a strip the edited channel rises; held ones stay, though they correlate."""
    boundary = LinearBoundary(
        torch.eye(3),
        attributes=["red", "green", "blue"],
        space="w",
        lambdas=torch.ones(3),
        score_std=torch.full((3,), 0.2),
        covariance=torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.0]]),
    )
    sheets = strips(
        Editor(LinearGenerator(), boundary), torch.tensor([[0.0, 0.1, -0.1]]), [40], truncation=1, resolution=2
    )
    assert len(sheets) == 3
    for channel, sheet in enumerate(sheets):
        pixels = np.asarray(sheet)
        width = 160 + 4  # of a cell and the gap beside it
        left = sheet.width - width * len(STRIP_STEPS)
        shown = np.array([pixels[-84, left + i * width + 80] for i in range(len(STRIP_STEPS))])
        colours = np.array([0.0, 0.1, -0.1]) + np.outer(0.2 * np.array(STRIP_STEPS), np.eye(3)[channel])
        assert np.abs(shown - (colours + 1) * 127.5).max() <= 1
