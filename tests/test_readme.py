"""The README does what it says: its commands run, on a small generator, one after another, and its Python too.

Every command of the README and of docs/generators.md is named below, with what makes it cheap or why it is only parsed;
one that is not named fails.
"""

import contextlib
import io
import pkgutil
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.distributed.run import get_args_parser

from ifgan_pl import cli
from ifgan_pl.app.start import parser as app_parser
from ifgan_pl.photos import Inversion
from ifgan_pl.photos.refinement import Steps
from tests.generators.cases import CASES
from tests.photos.photographs import HOPPER
from tests.processes import CPU, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {"README.md": README, "docs/generators.md": (ROOT / "docs" / "generators.md").read_text(encoding="utf-8")}
PROSE = [ROOT / "README.md", *(page for d in ("docs", "checkpoints", "benchmarks") for page in (ROOT / d).glob("*.md"))]
DCGAN = ["--generator", "digiface-dcgan", "--truncation", "1"]
EDIT = [*DCGAN, "--boundary", "runs/default/boundary.safetensors", "--seeds", "0,1", *CPU]

RUN = {
    "python train.py score --num 5000": [*DCGAN, "--num", "300", "--scorer", "small.ckpt", *CPU],
    "python train.py boundary": CPU,
    "python train.py boundary --solver sgd --loss hinge --trainer.max_epochs 30": [
        *("--trainer.max_epochs", "2", "--out", "sgd/boundary.safetensors", *CPU)
    ],
    "python train.py gradients": ["--generator", "digiface-dcgan", "--scorer", "small.ckpt", "--faces", "2", *CPU],
    "python train.py report": ["--generator", "digiface-dcgan", "--scorer", "small.ckpt", "--faces", "2"],
    "python train.py": [
        *DCGAN,
        "--num",
        "300",
        "--scorer",
        "small.ckpt",
        "--faces",
        "2",
        "--gradient_faces",
        "2",
        *CPU,
    ],
    "python train.py score --images DIR": ["--images", "photos", *CPU],
    "python train.py score --images photos/*.jpg --scorer my_module:my_scorer": ["--out", "own.csv", *CPU],
    "python train.py convert FILE OUT.safetensors": [],
    "python train.py boundary --latents w.npy --scores smile_scores.npy": ["--out", "other.safetensors", *CPU],
    "python edit.py --attribute smile": [*EDIT, "--steps", "3"],
    "python edit.py --attribute smile --hold all": [*EDIT, "--steps", "3"],
    "python edit.py --attribute age --hold gender eyeglasses --seeds 0-15,40": [*EDIT, "--steps", "3"],
    "python edit.py --edit smile=+2 age=-1 --hold all --format jpg grid html --out both": EDIT,
    "python edit.py --attribute pose --steps 31 --format gif webp mp4 --out moving": [*EDIT, "--steps", "3"],
    # one face, without refinement; see below for the photographs
    "python train.py invert --photos party/ --out runs/party": ["--steps", "0", "0", "0", "0", "0", *CPU],
    "python edit.py --inversions runs/party --edit eyeglasses=+2 --hold all": ["--resolution", "128", *CPU],
    # codes in W+ need a generator that has it: 2 faces of 3 steps, averaged down from the preview
    "python edit.py --attribute smile --latents wp.npy --mode to --scorer scorer-faces": [
        *("--steps", "3", "--resolution", "128", "--format", "jpg", *CPU)
    ],
}
"""A command -> options that are put behind it; of an option that is given twice the last one holds."""
PARSED = {
    "python train.py scorer --config configs/scorer_faces_more.yaml": "hours of training",
    "python train.py encoder": "an hour of training; tests/stages/test_encoder.py takes a few steps",
    "python train.py attribute --name beard --labels beard.csv": "tests/stages/test_attribute.py runs it",
    "python train.py attribute --name freckles --suggest 24 --out sheet": "somebody has to look",
    "python train.py attribute --name freckles --labels sheet/labels.csv": "somebody has to look",
    "python train.py score --num 500000 --trainer.devices 8 --trainer.num_nodes 4": "four machines",
    "torchrun --nproc_per_node 2 -- train.py --trainer.accelerator cpu": "two ranks have tests of their own",
    "pip install -e .[photos]": "an installation",
    "python edit.py --photos me.jpg party/ --edit smile=+1.5 --hold all --out edited": "a minute a face, as below",
    "python edit.py --photos me.jpg --attribute age --format strip html": "tests/stages/test_edit_photos.py",
    "make demo": "ten minutes; its recipe is parsed too",
    "make test": "this test is part of it",
    "make app": "a server, which has tests of its own",
    "python -m ifgan_pl.app --generator FILE --boundary FILE": "a server, which has tests of its own",
}
"""A command whose options are looked up, and why no more is done."""


def commands(page: str) -> list[str]:
    """What a reader would type: lines of sh blocks without their comments, and ``python …`` within the text."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(python [^`]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    return [command for command in dict.fromkeys([*lines, *inline]) if command]


def pythons(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def parse(arguments: list[str]) -> None:
    """Look the options of ``train.py …`` or ``edit.py …`` up; nothing is done."""
    script, *options = arguments
    with contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as ended:
        {"train.py": cli.train, "edit.py": cli.edit}[script]([*options, "--print_config"])
    assert not ended.value.code, arguments


def recipe(target: str) -> Iterator[list[str]]:
    """The ``train.py`` and ``edit.py`` commands of a Makefile's target, and of those that it makes in turn."""
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found is not None, f"no target {target} in the Makefile"
    variables = dict(re.findall(r"^(\w+) :?= (.*)$", makefile, re.MULTILINE))
    for line in found[1].splitlines():
        words = shlex.split(re.sub(r"\$\((\w+)\)", lambda name: variables.get(name[1], name[0]), line.strip()))
        if words[1:] and words[1] in ("train.py", "edit.py"):
            yield words[1:]
        if words[0] == "$(MAKE)":
            for each in words[1:]:
                if re.search(rf"^{each}:", makefile, re.MULTILINE):
                    yield from recipe(each)


def test_every_command_is_run_or_parsed() -> None:
    written = [command for page in PAGES.values() for command in commands(page)]
    assert sorted(written) == sorted([*RUN, *PARSED]), "say in this file how each command is tested"
    assert not RUN.keys() & PARSED.keys()
    fences = [fence for page in PAGES.values() for fence in re.findall(r"^```(\w*)$", page, re.MULTILINE)]
    assert set(fences) <= {"sh", "python", ""}, "code of another language is not tested"


@pytest.mark.parametrize("command", PARSED)
def test_options_of_what_is_not_run_are_there(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(command)
    if program == "make":
        steps = list(recipe(*arguments))
        assert steps or arguments != ["demo"]
        for each in steps:
            parse(each)
    elif program == "pip":
        (extra,) = re.findall(r"\[(\w+)\]", command)
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        assert extra in settings["project"]["optional-dependencies"]
    elif program == "torchrun":
        started = get_args_parser().parse_args(arguments)
        assert started.nproc_per_node == "2"
        parse([started.training_script, *(word for word in started.training_script_args if word != "--")])
    elif arguments[:2] == ["-m", "ifgan_pl.app"]:
        app_parser().parse_args(arguments[2:])
    else:
        parse(arguments)


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_config_opens_with_a_command_that_takes_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    first = config.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# python ")
    assert f"--config configs/{config.name}" in first
    parse(shlex.split(first)[2:])


def test_options_in_the_text_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    for command, arguments in [(cli.edit, []), *((cli.train, [stage]) for stage in cli.STAGES)]:
        with pytest.raises(SystemExit):
            command([*arguments, "--help"])
    known = set(re.findall(r"--[\w.-]*\w", capsys.readouterr().out + app_parser().format_help()))
    named = {option for page in PAGES.values() for option in re.findall(r"`(--[\w.-]*\w)", page)}
    assert len(named) > 4
    assert named <= known


@pytest.fixture
def folder(tmp_path: Path, small_scorer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the user's files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    (tmp_path / "small.ckpt").symlink_to(small_scorer)
    (tmp_path / "my_module.py").write_text("def my_scorer(images):\n    return images.mean((2, 3))\n")
    (tmp_path / "party").mkdir()
    for photo in ("me.jpg", "party/you.jpg"):
        shutil.copy(HOPPER, tmp_path / photo)
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(random.integers(0, 256, (80, 64, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.jpg")
    CASES["rosinality"](tmp_path / "FILE").rename(tmp_path / "FILE")
    codes = random.standard_normal((300, 512)).astype(np.float32)
    np.save("w.npy", codes)
    np.save("smile_scores.npy", codes[:, :1] + 0.5 * random.standard_normal((300, 1)).astype(np.float32))
    np.save("wp.npy", np.repeat(codes[:2, None] / 10, 16, axis=1))
    return tmp_path


def test_the_commands_run_one_after_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (command, cheap) in enumerate(RUN.items()):
        words = [found for word in shlex.split(command)[1:] for found in (sorted(glob(word)) or [word])]
        script, *arguments = words
        if script == "edit.py":  # each wants a folder of its own
            arguments += ["--out", f"edits-{number}"]
        {"train.py": cli.train, "edit.py": cli.edit}[script]([*arguments, *cheap])
    printed = capsys.readouterr().out
    for stage in ("score", "boundary", "report"):  # `python train.py` found what the stages had made
        assert f"{stage}: up to date" in printed
    for file in ("runs/default/report/index.html", "runs/default/images.csv", "own.csv", "OUT.safetensors"):
        assert (folder / file).is_file()
    made = [sorted(path.name for path in edits.iterdir()) for edits in sorted(folder.glob("edits-*"))]
    assert len(made) == sum("edit.py" in command for command in RUN)
    assert all("edits.csv" in names and "provenance.json" in names for names in made)


def test_its_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    _, block = pythons(README)
    assert "seeds=range(8)" in block
    found: dict[str, object] = {}
    exec(block.replace("seeds=range(8)", "seeds=range(1)"), found)
    assert getattr(found["images"], "shape", None) == (1, 3, 1024, 1024)


def test_its_python_inverts_a_photograph(folder: Path) -> None:
    block, _ = pythons(README)
    assert "Inverter.load()" in block
    quick = block.replace("Inverter.load()", "Inverter.load(steps=Steps(1, 0, 0, 0, 0))")
    exec(quick, {"Steps": Steps})
    assert Inversion.load("me.safetensors").codes.shape == (16, 512)


def test_the_other_page_s_python_is_run_where_its_results_are_known() -> None:
    test = (ROOT / "tests" / "generators" / "test_docs.py").read_text(encoding="utf-8")
    blocks = pythons(PAGES["docs/generators.md"])
    assert {int(number) for number in re.findall(r"BLOCKS\[(\d)\]", test)} == set(range(len(blocks)))


@pytest.mark.parametrize("page", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for name in re.findall(r"\b(?:benchmarks|configs|checkpoints|docs|tests|ifgan_pl)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"
    for name in re.findall(r"\bifgan_pl(?:\.\w+)+", text):
        pkgutil.resolve_name(name)


def test_every_benchmark_is_listed() -> None:
    folder = ROOT / "benchmarks"
    listed = set(re.findall(r"^\| `(\w+\.py)", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    shared = {"outside_scorers.py", "timing.py"}  # what several of them import
    assert listed == {path.name for path in folder.glob("*.py")} - shared


def test_the_layout_is_the_one_that_it_tells_of() -> None:
    """Every folder has a row; the files of a row are in its folder, and the names in one of its files."""
    section = README.split("## How the code is laid out")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE)
    package = ROOT / "ifgan_pl"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert {room for room, _ in rows} == rooms | {"functional.py"}
    for room, text in rows:
        files = [package / room] if room.endswith(".py") else sorted((package / room).rglob("*.py"))
        source = "\n".join(path.read_text(encoding="utf-8") for path in files)
        names = {path.name for path in files} | {f"{path.parent.name}/" for path in files}
        names |= {"cli.py", "train.py", "edit.py", *re.findall(r"(?:def|class) (\w+)", source)}
        words = re.findall(r"`([^`]*)`", text)
        assert not [word for word in words if word not in names and not word.startswith("--")], room
