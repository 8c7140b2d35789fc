from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.scores.external import read_labels, read_latents


def test_a_table_may_name_its_rows_and_leave_labels_out(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,split,smile,age\n00002.jpg,train,1,30\n00000.jpg,val,,41.5\n")
    names, values = read_labels(path, 3)
    assert names == ["smile", "age"]
    expected = torch.tensor([[float("nan"), 41.5], [float("nan")] * 2, [1.0, 30.0]])
    assert torch.equal(values.nan_to_num(-1), expected.nan_to_num(-1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index,smile\n7,1\n", "row 1: numbers of a code from 0 to 2"),
        ("index,smile\n-1,1\n", "row 1"),
        ("index,smile\n1,yes\n", "row 1"),
        ("smile\n1\n0\n", "2 rows for 3 codes"),
        ("index,split\n1,train\n", "no attribute columns"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_labels(path, 3)


def test_scores_of_the_original(tmp_path: Path) -> None:
    path = tmp_path / "eyeglasses_scores.npy"
    np.save(path, np.arange(3.0)[:, None])
    assert read_labels(path, 3)[0] == ["eyeglasses"]
    with pytest.raises(UserError, match="3 scores for 4 codes"):
        read_labels(path, 4)


def test_latents_never_run_code_and_must_be_finite(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"not a readable \.npy"):
        read_latents(str(tmp_path / "objects.npy"))
    np.save(tmp_path / "nan.npy", np.array([[0.0, np.nan], [1.0, 2.0]]))
    with pytest.raises(UserError, match="1 of 2 latents hold NaN"):
        read_latents(str(tmp_path / "nan.npy"))
