"""What a user types: the command line, in-process."""

import inspect
import re
from functools import partial
from pathlib import Path
from typing import get_type_hints

import pytest
import torch.distributed as dist

from ifgan_pl import cli
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.stages.edit import edit
from ifgan_pl.stages.scorer import train_scorer
from tests.commands import failure


def test_the_scorer_s_settings_are_options_of_its_stage() -> None:
    help_text = cli.command_parser(train_scorer, "train.py scorer").format_help()
    for name in inspect.signature(FacialAttributeScorer).parameters:
        assert name == "attributes" or f"--{name} " in help_text, name


STAGES = {**cli.STAGES, "edit": edit}


@pytest.mark.parametrize("name", STAGES)
def test_help_explains_every_option_and_lists_its_choices(name: str) -> None:
    parser = cli.command_parser(STAGES[name], name)
    help_text = re.sub(r"\s+", " ", parser.format_help())
    for option, hint in get_type_hints(STAGES[name]).items():
        if option in ("trainer", "model", "return"):
            continue
        _, said, rest = help_text.partition(f" {option} " if name == "convert" else f" --{option}")
        assert said, option
        assert re.match(r"\S* ([A-Z_{}.\[\]]+ )*[^(-]{6}", rest), option  # more than a name and a type
        for choice in re.findall(r"'(\S+?)'", str(hint)) if "Literal" in str(hint) else ():
            assert choice in rest[:400], option


def test_options_of_edit_are_the_parameters_of_its_function() -> None:
    arguments = "--edit smile=+2 age=-1 --hold a b --range -2 -.5 --format png strip --seeds 0-15,40 --resume --compile"
    given = cli.command_parser(edit, "edit.py").parse_args([*arguments.split(), "--batch_size", "2"])
    defaults = {name: p.default for name, p in inspect.signature(edit).parameters.items() if name != "trainer"}
    expected = defaults | {"edit": ["smile=+2", "age=-1"], "hold": ["a", "b"], "range": [-2.0, -0.5]}
    expected |= {"format": ["png", "strip"], "seeds": "0-15,40", "resume": True, "compile": True, "batch_size": 2}
    expected |= {"photos": [], "points": []}
    assert {name: given[name] for name in defaults} == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("scoer", "unknown 'scoer'; known: scorer, score, preview"),
        ("score --nmu 3", "unknown: --nmu 3"),
        ("score --gen ffhq-mobile", "unknown: --gen ffhq-mobile"),
        ("score --num x", "--num: a whole number expected, got 'x'"),
        ("--num 1.5", "--num: a whole number expected, got '1.5'"),
        ("score --resolution big", "--resolution: a whole number expected, got 'big'"),
        ("score --truncation abc", "--truncation: a number expected, got 'abc'"),
        ("score --truncation 3", "--truncation is psi, from 0 to 1; got 3"),
        ("score --space y", "--space: unknown 'y'; known: z, w, w+"),
        ("score --num", "--num: a value expected"),
        ("score --images", "--images: a value expected"),
        ("score --trainer.devices x --trainer.accelerator cpu", "Trainer refuses its flags: `devices`"),
        ("score --trainer.max_epochs x", "--trainer.max_epochs: a whole number expected, got 'x'"),
        ("score --config nowhere.yaml", "no such file: nowhere.yaml (shipped: attributes_shipped"),
        ("score --config broken.yaml", "line 2"),
        ("score --config other.yaml", "unknown: bar"),
        ("score --config one.yaml", "is written as a list"),
        ("score --generator stylegan9", "unknown generator"),
        ("score --scorer nobody", "no such file: nobody"),
        ("boundary --scores nowhere", "no score store"),
        ("boundary --metric foo", "--metric: unknown 'foo'; known: sqrt, covariance, identity"),
        ("boundary --layers 0 x", "--layers: a whole number expected, got 'x'"),
        ("boundary --side_effects x", "--side_effects: names with values, such as '{smile: 2}' expected, got 'x'"),
        ("scorer --data Nobody", "--data: Expected a dot import path"),
        ("scorer", "data"),
    ],
)
def test_mistakes_in_training_are_one_line(
    arguments: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {"broken.yaml": "num: 3\n  seed: [", "other.yaml": "bar: 3", "one.yaml": "images: photos"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert expected in failure(cli.train, capsys, *arguments.split())
    assert {path.name for path in tmp_path.iterdir()} == {*files}


def test_a_command_ends_the_process_group_it_began_and_no_other(tmp_path: Path) -> None:
    begin = partial(dist.init_process_group, "gloo", rank=0, world_size=1)
    with cli.one_command():
        begin(init_method=f"file://{tmp_path / 'its own'}")
    assert not dist.is_initialized()
    begin(init_method=f"file://{tmp_path / 'of the caller'}")
    with cli.one_command():
        pass
    assert dist.is_initialized()
    dist.destroy_process_group()
