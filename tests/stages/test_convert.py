"""The convert stage from the command line."""

from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.generators import load_generator
from tests.generators.small import make_images, save_small_stylegan2


def test_a_file_is_written_as_safetensors_of_the_same_generator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = save_small_stylegan2(tmp_path / "small.safetensors"), tmp_path / "new" / "out.safetensors"
    cli.train(["convert", str(source), str(out)])
    assert f"convert: stylegan2, 16² in {out}" in capsys.readouterr().out
    assert torch.equal(make_images(load_generator(out)), make_images(load_generator(source)))


def test_a_file_that_is_no_generator_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.pkl").write_text("<html>not found</html>")
    with pytest.raises(SystemExit) as caught:
        cli.train(["convert", str(tmp_path / "page.pkl"), str(tmp_path / "out.safetensors")])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "page.pkl: is no generator file" in line
    assert not (tmp_path / "out.safetensors").exists()
