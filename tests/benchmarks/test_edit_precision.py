"""The arithmetic of benchmarks/edit_precision.py; its figures take hours."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("edit_precision", BENCHMARKS / "edit_precision.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


def test_precision_is_target_per_mean_drift_of_the_others(tool: ModuleType) -> None:
    faces = 50
    moved = np.zeros((5, faces, 5))
    for target in range(5):
        moved[target, :, target] = 1.1
        moved[target, :, (target + 1) % 5] = 0.2  # all faces the same way
        moved[target, ::2, (target + 2) % 5] = 0.3  # half up, half down: movement without drift
        moved[target, 1::2, (target + 2) % 5] = -0.3
    drift, each = tool.precisions(moved, np.arange(faces)[None])
    np.testing.assert_allclose(drift[:, 0], 1.1 / (0.2 / 4))
    np.testing.assert_allclose(each[:, 0], 1.1 / (0.5 / 4))


def test_the_halves_share_no_row_but_those_that_only_report(tool: ModuleType) -> None:
    splits = [tool.HalfFaces(half, None).table.split for half in (0, 1)]
    used = [np.isin(split, ["train", "select"]) for split in splits]
    assert not (used[0] & used[1]).any()
    assert [int(rows.sum()) for rows in used] == [2000, 2000]
    assert [int((split == "select").sum()) for split in splits] == [100, 100]
    assert ((splits[0] == "report") == (splits[1] == "report")).all()
