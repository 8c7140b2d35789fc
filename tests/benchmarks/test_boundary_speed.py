import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("job", ["svc", "linearsvc", "attributes", "large"])
def test_every_job_of_boundary_speed_runs_small(job: str) -> None:
    command = [sys.executable, "benchmarks/boundary_speed.py", job, "--num", "700", "--repeats", "1", "--threads", "1"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["rows"] == 700
    if job == "svc":
        assert report["hard"]["hinge"]["accuracy"] == pytest.approx(report["hard"]["svc"]["accuracy"], abs=0.05)
    if job == "linearsvc":
        assert report["least_cosine"] > 0.95  # the same problem, but for its penalty on the intercept
    if job in ("attributes", "large"):
        assert report["relative_gradient"] <= 1e-6
