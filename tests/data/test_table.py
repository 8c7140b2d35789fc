"""A folder with a CSV or Parquet table."""

import logging
import sys

import pyarrow
import pytest
import torch
from pyarrow import parquet

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.table import TableData, number, read_columns
from tests.data.files import write_folder


def test_kinds_are_inferred_and_missing_labels_are_nan(tmp_path):
    ages = [*range(20, 42), ""]
    folder, table = write_folder(tmp_path / "a", smile=[i % 2 for i in range(23)], age=ages)
    data = TableData(folder, table, cache_dir=tmp_path)
    assert data.attributes == {"smile": "binary", "age": "continuous"}
    assert data.table.targets.shape == (23, 2)
    assert data.table.targets[22, 1].isnan()
    assert data.table.targets[:22, 1].tolist() == list(range(20, 42))


def test_split_column(tmp_path):
    split = ["train"] * 10 + ["val"] * 6 + ["test"] * 7
    data = TableData(*write_folder(tmp_path / "a", age=range(23), split=split), cache_dir=tmp_path)
    assert data.table.split.tolist() == ["train"] * 10 + ["select"] * 6 + ["report"] * 7
    split = ["train"] * 17 + ["val"] * 6
    data = TableData(*write_folder(tmp_path / "b", age=range(23), split=split), cache_dir=tmp_path)
    assert (data.table.split == "report").sum() == 6
    assert (data.table.split == "select").sum() == 1
    with pytest.raises(UserError, match="unknown split dev; known are train, val"):
        TableData(*write_folder(tmp_path / "c", age=range(23), split=["dev"] * 23), cache_dir=tmp_path).setup()


def test_columns_that_do_not_fit_list_both_sides(tmp_path):
    folder, table = write_folder(tmp_path / "a", smile=[0] * 23, age=range(23))
    with pytest.raises(UserError, match=r"no column beard; its columns are file, smile, age"):
        TableData(folder, table, attributes={"beard": "binary", "age": "continuous"}).setup()
    with pytest.raises(UserError, match=r"no column path; its columns are file, smile, age"):
        TableData(folder, table, file_column="path").prepare_data()
    with pytest.raises(UserError, match="no such folder"):
        TableData(tmp_path / "nowhere", table).prepare_data()


def test_broken_rows_are_counted_named_and_left_out(tmp_path, caplog):
    ages: list[int | str] = list(range(23))
    ages[4], ages[7] = "old", "inf"
    data = TableData(*write_folder(tmp_path / "a", age=ages), cache_dir=tmp_path)
    with caplog.at_level(logging.WARNING):
        targets = data.table.targets
    assert "left out 2 rows that are not numbers: 004.png, 007.png" in caplog.text
    assert targets[:, 0].tolist() == [a for a in ages if not isinstance(a, str)]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "a line of column names"), ("file,age\na.png,3,4\n", "1 rows have another number of fields")],
)
def test_malformed_csv(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_columns(tmp_path / "t.csv")


def test_parquet_without_pyarrow_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="reading Parquet needs pyarrow: pip install pyarrow"):
        read_columns(tmp_path / "t.parquet")


def test_parquet(tmp_path):
    folder, _ = write_folder(tmp_path / "a", age=range(23))
    columns = {"file": [f"{i:03d}.png" for i in range(23)], "age": [None, *range(1, 23)]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    targets = TableData(folder, tmp_path / "t.parquet", cache_dir=tmp_path).table.targets
    assert targets[0].isnan()
    assert targets[1:, 0].tolist() == list(range(1, 23))
    (tmp_path / "u.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"t\.parquet has no column beard; its columns are file, age"):
        TableData(folder, tmp_path / "t.parquet", attributes={"beard": "binary"}).setup()
    with pytest.raises(UserError, match="not a Parquet file"):
        read_columns(tmp_path / "u.parquet")


def test_number():
    assert number("-1.5") == -1.5
    assert number(" ") != number(" ")
    with pytest.raises(ValueError, match="could not convert"):
        number("x")
    assert torch.tensor(number(None)).isnan()
