"""The house: what may import what, where tests live, and what the wheel carries, read off the files themselves."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import ifgan_pl

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ifgan_pl"
TIERS = (
    {"core"},
    {"images", "generators", "boundaries.solvers", "functional"},
    {"data", "boundaries"},
    {"scorer", "scores", "editing"},
    {"attributes", "photos", "report"},
    {"stages", "app"},
    {"cli"},
)
"""Rooms from the ground up: a module imports its own room and those of lower tiers; rooms of one tier stay apart."""
WITHOUT_LIGHTNING = ("functional", "boundaries.boundary", "boundaries.solvers")
WITH_LIGHTNING = ("boundaries.solvers.sgd",)
"""Of those rooms, the module that is trained by a Trainer."""
LOOSE = {"__init__", "cli", "functional"}
"""Modules at the top of the package; every other lies in a room."""
MOST_LINES = 400
SOURCES = sorted(path for folder in ("ifgan_pl", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
MODULES = [path for path in SOURCES if path.is_relative_to(PACKAGE)]
TESTS = [path for path in SOURCES if path.is_relative_to(ROOT / "tests")]

TESTED_BY = {
    # the steps of a fit
    "boundaries/problem.py": "boundaries/test_fit.py",
    # the method of one solver, and what all of them return
    "boundaries/solvers/interior_point.py": "boundaries/solvers/test_hinge.py",
    "boundaries/solvers/solution.py": "boundaries/solvers/test_signature.py",
    # goldens of the official code for every published file, and the contract of every family
    "generators/base.py": "generators/test_contract.py",
    "generators/mapping.py": "generators/checkpoints/test_formats.py",
    "generators/pggan.py": "generators/checkpoints/test_formats.py",
    "generators/stylegan1.py": "generators/checkpoints/test_formats.py",
    "generators/stylegan2.py": "generators/checkpoints/test_formats.py",
    "generators/stylegan3.py": "generators/checkpoints/test_formats.py",
    "generators/checkpoints/conversions.py": "generators/checkpoints/test_formats.py",
    # OpenVINO's own output of the published files
    "generators/mobile_layers.py": "generators/test_mobile.py",
    "generators/mobile_weights.py": "generators/test_mobile.py",
    # files of many ranks
    "photos/inverting.py": "stages/test_invert.py",
}
"""Modules whose test file has another name than theirs, because one test holds several of them against an oracle."""
WITHOUT_LOGIC = {"core/errors.py", "stages/places.py", "app/__main__.py"}
"""One exception class; one constant; one call."""


def name_of(path: Path) -> str:
    """A source file's name as a module, below the repository: ``ifgan_pl.core.files``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """What a file imports, at any depth, as full names: ``from a import b`` is ``a.b``."""
    package = name_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)


def room_of(name: str) -> str:
    """The room of a name below ``ifgan_pl``; a public name counts where it lives, ``__version__`` nowhere: ``""``."""
    first, *rest = name.split(".")[1:] or [""]
    first, *rest = ifgan_pl.HOMES.get(first, first).split(".") + rest
    if first.startswith("__"):
        return ""
    return "boundaries.solvers" if [first, *rest[:1]] == ["boundaries", "solvers"] else first


def test_imports_point_one_way() -> None:
    tier = {room: number for number, rooms in enumerate(TIERS) for room in rooms}
    wrong = []
    for path in MODULES:
        here = room_of(name_of(path))
        if not here:  # ifgan_pl/__init__.py looks public names up when they are first used
            continue
        assert here in tier, f"{here} is a room that no tier names"
        for name in imports(path):
            there = room_of(name) if name.startswith("ifgan_pl.") else ""
            if there and there != here and tier.get(there, len(TIERS)) >= tier[here]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_relative_and_nested_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "ifgan_pl" / "core" / "one.py"
    path.parent.mkdir(parents=True)
    path.write_text("from . import two\nfrom ..images.read import decode\ndef f():\n    import ifgan_pl.cli as c\n")
    assert list(imports(path)) == ["ifgan_pl.core.two", "ifgan_pl.images.read.decode", "ifgan_pl.cli"]
    assert [room_of(n) for n in imports(path)] == ["core", "images", "cli"]
    assert room_of("ifgan_pl.Editor") == "editing"
    assert room_of("ifgan_pl.boundaries.solvers.newton.chunks") == "boundaries.solvers"
    assert room_of("ifgan_pl.__version__") == room_of("ifgan_pl") == ""


def test_the_maths_loads_without_lightning() -> None:
    """``functional``, ``LinearBoundary`` and every exact solver, as whoever has no Lightning would load them."""
    names = [name_of(path).removeprefix("ifgan_pl.") for path in MODULES]
    names = [n for n in names if n.startswith(WITHOUT_LIGHTNING) and n not in WITH_LIGHTNING]
    assert len(names) > len(WITHOUT_LIGHTNING)
    program = "import importlib, sys\n"
    program += f"for name in {names}: importlib.import_module(f'ifgan_pl.{{name}}')\n"
    program += "print(*[m for m in sys.modules if m.partition('.')[0] in ('pytorch_lightning', 'lightning_fabric')])"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_every_module_lies_in_a_room() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE


def test_no_file_is_too_long_to_read() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lines.items() if n > MOST_LINES]


def test_every_module_has_its_test_file() -> None:
    places = {str(path.relative_to(PACKAGE)): path.relative_to(PACKAGE) for path in MODULES}
    named = TESTED_BY.keys() | WITHOUT_LOGIC
    assert named <= places.keys(), f"no such modules: {named - places.keys()}"
    mirrored = {name: place.with_name(f"test_{place.name}") for name, place in places.items()}
    there = {name for name, test in mirrored.items() if (ROOT / "tests" / test).is_file()}
    assert not named & there, f"these have a test file of their own by now: {named & there}"
    assert all((ROOT / "tests" / test).is_file() for test in TESTED_BY.values())
    missing = sorted(str(mirrored[name]) for name in places.keys() - named - there if not name.endswith("__init__.py"))
    assert not missing, f"tests/ lacks {', '.join(missing)}"


def test_tests_use_no_other_tests() -> None:
    """What two of them share lies in a module of another name, or in a ``conftest.py``."""
    wrong = []
    for path in TESTS:
        own = name_of(path)
        used = {*imports(path), *re.findall(r"\btests(?:\.\w+)+", path.read_text(encoding="utf-8"))}
        wrong += [
            f"{path.relative_to(ROOT)} uses {name}"
            for name in sorted(used)
            if re.match(r"tests(\.\w+)*\.test_", name) and not f"{name}.".startswith(f"{own}.")
        ]
    assert not wrong, "\n".join(wrong)


def test_folders_are_packages_and_the_build_knows_them() -> None:
    folders = {path.parent for path in MODULES}
    assert {path.parent for path in MODULES if path.name == "__init__.py"} == folders
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    shipped = {f"ifgan_pl.{folder}" for folder in ("configs", "checkpoints")}
    assert sorted({name_of(folder / "__init__.py") for folder in folders} | shipped) == settings["packages"]
    assert all(a < b for a, b in pairwise(settings["packages"]))


def test_the_wheel_carries_what_is_found_by_name(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("ifgan_pl", "configs", "checkpoints"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys\nfrom setuptools import build_meta\nbuild_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if name.startswith("ifgan_pl/")}
        archive.extractall(installed)
    for folder in ("configs", "checkpoints"):
        assert {f"ifgan_pl/{folder}/{path.name}" for path in (ROOT / folder).iterdir()} <= carried
    assert {str(path.relative_to(ROOT)) for path in MODULES} | {"ifgan_pl/py.typed"} <= carried
    program = "from ifgan_pl.core.resources import find\n"
    program += "print(find('boundary_paper', 'configs', ('.yaml',)), find('scorer-faces', 'checkpoints', ('.ckpt',)))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=installed, capture_output=True, text=True, check=True
    ).stdout
    assert found.split() == [
        str(installed / "ifgan_pl" / place)
        for place in ("configs/boundary_paper.yaml", "checkpoints/scorer-faces.ckpt")
    ]
