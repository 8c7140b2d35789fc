import json
from pathlib import Path

import pytest

from ifgan_pl.core.errors import UserError
from ifgan_pl.stages.up_to_date import digest_of, up_to_date


def test_a_result_of_these_inputs_is_up_to_date_and_a_change_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"

    def check(**inputs: object) -> bool:
        return up_to_date("fit", out, inputs, lambda path: dict(json.loads(path.read_text())))

    assert not check(num=3)
    assert capsys.readouterr().out == ""
    out.write_text(json.dumps({"inputs": {"num": 3, "layers": [1, 2]}}))
    assert check(num=3, layers=(1, 2))
    assert capsys.readouterr().out == f"fit: up to date ({out})\n"
    assert not check(num=4, layers=[1, 2])
    assert capsys.readouterr().out == "fit: num 3 -> 4; making it again\n"
    out.write_text("torn")
    assert not check(num=3)
    assert "cannot be read; making it again" in capsys.readouterr().out


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        digest_of(str(tmp_path / "nothing"))
