"""The command line: what ``train.py`` and ``edit.py`` do. Parsing and messages only; the work is elsewhere."""

import inspect
import logging
import re
import sys
import warnings
from argparse import Action, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import docstring_parser
import pytorch_lightning as pl
import torch.distributed as dist
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from ifgan_pl import __version__
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import disk_full, write_text
from ifgan_pl.core.messages import is_rank_zero
from ifgan_pl.core.resources import find
from ifgan_pl.stages.all import run_all
from ifgan_pl.stages.attribute import attribute
from ifgan_pl.stages.boundary import boundary
from ifgan_pl.stages.convert import convert
from ifgan_pl.stages.edit import edit as edit_faces
from ifgan_pl.stages.encoder import encoder
from ifgan_pl.stages.gradients import gradients
from ifgan_pl.stages.invert import invert
from ifgan_pl.stages.launch import Alarm, join, launched
from ifgan_pl.stages.preview import preview
from ifgan_pl.stages.report import report
from ifgan_pl.stages.score import score
from ifgan_pl.stages.scorer import train_scorer

VERSION = f"ifgan_pl {__version__}"
TRAIN = """Find linear semantics in the latent space of a face generator.

The stages, each of which ends in files and runs by itself:
  scorer    labelled images -> a facial-attribute scorer
  score     seed and index -> codes, images, scores           (runs/default/scores)
            --images DIR: image files -> a table              (runs/default/images.csv)
  boundary  codes and scores -> one hyperplane an attribute     (runs/default/boundary.safetensors)
  gradients  how scores answer to the code, added to that file: cleaner edits
  attribute  yes and no about some faces -> attributes of your own, added to a boundary file
  report    what the boundaries do: tables and figures          (runs/default/report/index.html)
  preview   train the cheap preview head of ffhq-mobile
  encoder   train the encoder of photographs for ffhq-mobile
  invert    --photos DIR: faces in photographs -> codes that edit.py edits   (runs/default/inversions)
  convert   FILE OUT.safetensors: write a StyleGAN or PGGAN file as portable safetensors
  all       score, boundary, gradients and report, whatever is not up to date   (the default)
"""
EDIT = """Edit faces along the boundaries of their generator.

  python edit.py --attribute smile                        8 faces, smile from -3 to +3 standard deviations
  python edit.py --attribute age --hold gender eyeglasses --seeds 0-15,40
  python edit.py --edit smile=+2 age=-1 --hold all        several attributes at once, the others held
  python edit.py --attribute pose --latents w.npy --metric identity --unit latent     the paper's z + αn
  python edit.py --photos me.jpg party/ --edit smile=+1.5 --hold all --out edited     your photographs, whole

Needs no training: boundaries of five attributes ship for ffhq-mobile.
"""
STAGES: dict[str, Callable[..., Any]] = {
    "scorer": train_scorer,
    "score": score,
    "preview": preview,
    "encoder": encoder,
    "invert": invert,
    "convert": convert,
    "boundary": boundary,
    "gradients": gradients,
    "attribute": attribute,
    "report": report,
    "all": run_all,
}
EDIT_HEADINGS = {
    "attribute": "what to edit",
    "photos": "faces in your photographs (pip install 'ifgan_pl[photos]')",
    "generator": "generated faces",
    "out": "what to write",
}
"""What the help of ``edit.py`` prints above these options."""
CONFIG = """YAML of options, a shipped one (configs/) by its name; later ones win. Each run leaves its own beside its
result: config.yaml in a folder, NAME.config.yaml beside a file; given here, it makes the same result again"""


class HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Descriptions as they are written; the usage line only names the program; types and defaults in plain words."""

    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage("%(prog)s [options]", [], [], prefix)

    def _expand_help(self, action: Action) -> str:
        said, expanded = action.help or "", super()._expand_help(action)
        if not expanded.startswith(said):  # --help itself
            return expanded
        notes = expanded.removeprefix(said)
        notes = re.sub(r"(, )?default: (null|False|\[\])(?=[,)])", "", notes)
        notes = re.sub(r"type: Optional\[(.*)\](?=[,)])|type: (.*) \| null", r"type: \1\2", notes)
        if "{" in str(action.metavar or action.choices):  # which lists the choices
            notes = re.sub(r"type: Literal\[.*?\](, )?", "", notes)
        return re.sub(r"``|:\w+:(?=`)", "", said) + notes.replace(" ()", "")


class Parser(ArgumentParser):
    """An argument parser whose errors are one line and exit code 2, and which knows no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, formatter_class=HelpFormatter, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """One line, no usage dump."""
        fail(plain_words(message))


EXPECTED = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "a text",
    "<class 'dict'>": "names with values, such as '{smile: 2}'",
    "<class 'collections.abc.Mapping'>": "names with values, such as '{smile: 2}'",
    "<class 'list'>": "a list, such as '[1, 2]'",
    "<class 'collections.abc.Sequence'>": "a list, such as '[1, 2]'",
}
"""What jsonargparse expects, in a user's words."""


def plain_words(message: str) -> str:
    """A message of the parser in the words of a user: ``--num: a whole number expected, got 'x'``."""
    if "does not support item assignment" in message or "object is not iterable" in message:
        return "--config: an option that takes several values is written as a list, [a, b]"
    if found := re.match(r"argument (\S+): expected (?:one|at least one|(\d+)) arguments?$", message):
        return f"{found[1]}: {f'{found[2]} values' if found[2] else 'a value'} expected"
    if found := re.match(r"unrecognized arguments: (.*)", message) or re.match(
        r"Option '(.*)' is not accepted", message
    ):
        return f"unknown: {found[1]} (--help lists the options)"
    if found := re.match(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", message):
        return f"{found[1]}: unknown {found[2]}; known: {found[3].replace(chr(39), '')}"
    keys = re.findall(r'Parser key "([^"]+)"', message)
    wanted = re.findall(r"Expected a (.*?)(?:\. Got value: .*)?$", message, re.MULTILINE)
    value = re.search(r"(?:Got|Given) value: (.*)", message)
    if not keys or not wanted or value is None:
        return re.sub(r'^Parser key "([^"]+)":', r"--\1:", message)
    choices = [name for kind in wanted if kind.startswith("typing.Literal") for name in re.findall(r"'([^']*)'", kind)]
    kinds = [EXPECTED.get(kind, kind) for kind in wanted if "Literal" not in kind and "NoneType" not in kind]
    if not kinds:
        return f"--{keys[-1]}: unknown {value[1]!r}; known: {', '.join(choices)}"
    return f"--{keys[-1]}: {' or '.join([*kinds, *choices])} expected, got {value[1]!r}"


def fail(message: str) -> NoReturn:
    """Print one line, once, and leave with code 2: rank 0 says what all find wrong, or the one rank that failed."""
    alarm = Alarm.of_this_process
    if alarm.ring() if alarm is not None else is_rank_zero():
        print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    sys.exit(2)


def command_parser(
    stage: Callable[..., Any], prog: str, description: str = "", headings: Mapping[str, str] | None = None
) -> Parser:
    """A parser of a stage function's parameters, with ``--config`` and ``--trainer.*``; its docstring is the help.

    A ``bool`` is a flag, a ``Sequence`` or ``tuple`` takes several values behind one option.

    Args:
        stage: keyword-only parameters become options, others positional arguments.
        prog: name in the help.
        description: by default the first paragraph of the docstring.
        headings: name of a parameter -> heading above it and those that follow.
    """
    parameters = dict(inspect.signature(stage).parameters)
    docstring = docstring_parser.parse(re.sub(rf"``({'|'.join(parameters)})``", r"--\1", stage.__doc__ or ""))
    texts = {name: p.description for p in docstring.params for name in p.arg_name.split(", ")}
    parser = Parser(prog=prog, description=description or " ".join((docstring.short_description or "").split()))
    parser.add_argument("--config", action="config", help=CONFIG)
    hints = get_type_hints(stage)
    group: Any = parser
    for name, parameter in parameters.items():
        if name == "trainer":
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            parser.add_function_arguments(stage, skip={other for other in parameters if other != name})
            continue
        if headings and name in headings:
            group = parser.add_argument_group(headings[name])
        option = argument(hints[name], parameter)
        names = [name] if parameter.kind is not parameter.KEYWORD_ONLY else [f"--{name}"]
        if option.get("action") and "_" in name:
            names.insert(0, f"--{name.replace('_', '-')}")
        group.add_argument(*names, help=texts.get(name), **option)
    if "trainer" in parameters:
        parser.add_class_arguments(pl.Trainer, "trainer", instantiate=False)
    return parser


def argument(hint: Any, parameter: inspect.Parameter) -> dict[str, Any]:
    """What ``add_argument`` is to know of a parameter."""
    if hint is bool:
        return {"action": "store_true"}
    kinds = get_args(hint)
    if get_origin(hint) in (Sequence, tuple):
        several: Any = len(kinds) if get_origin(hint) is tuple else "+"
        given = parameter.default is not parameter.empty
        return {"type": kinds[0], "nargs": several} | (
            {"default": list(parameter.default)} if given else {"required": True}
        )
    option: dict[str, Any] = {"type": hint}
    named = [kind for kind in kinds if get_origin(kind) is Literal]
    if named and set(kinds) == {named[0], NoneType}:
        option["metavar"] = f"{{{','.join(get_args(named[0]))}}}"
    if parameter.default is not parameter.empty:
        option["default"] = parameter.default
    elif parameter.kind is parameter.KEYWORD_ONLY:
        option["required"] = True
    return option


def train(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``train.py`` and ``ifgan-train``."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "all")
    with one_command():
        if arguments[0] not in STAGES:
            overview = Parser(prog="train.py", description=TRAIN)
            overview.add_argument("--version", action="version", version=VERSION)
            overview.add_argument("stage", choices=list(STAGES), help="python train.py STAGE --help explains it")
            overview.parse_args(arguments[:1])
        name = arguments[0]
        run(STAGES[name], command_parser(STAGES[name], f"train.py {name}"), arguments[1:])


def edit(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``edit.py`` and ``ifgan-edit``."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with one_command():
        parser = command_parser(edit_faces, "edit.py", EDIT, EDIT_HEADINGS)
        parser.add_argument("--version", action="version", version=VERSION)
        run(edit_faces, parser, arguments)


def run(stage: Callable[..., Any], parser: Parser, arguments: list[str]) -> None:
    """Parse, run the stage, and leave its options beside its result."""
    options = parser.parse_args(resolve_configs(arguments))
    config = resolved(parser, options)
    given = keywords(parser.instantiate(options))
    if "trainer" in given:
        ranks = join(given["trainer"])
        if ranks.size > 1:
            Alarm.of_this_process = Alarm(ranks)
    if "trainer" in given or is_rank_zero():  # what takes no Trainer needs no ranks
        result = stage(**given)
        if is_rank_zero() and stage is not convert:
            place = Path(given["out"] or result)
            own = place.with_suffix(".gradients.file") if stage is gradients else place  # the boundary's options stay
            write_text(config_path(own), config)


def resolved(parser: Parser, options: Namespace) -> str:
    """The options as YAML that ``--config`` takes; flags of the Trainer that nobody gave are left out."""
    options, defaults = options.clone(), parser.get_defaults()
    options.pop("resume", None)  # of this run, not of its result
    if flags := options.pop("trainer", None):
        given = {name: value for name, value in vars(flags).items() if value != defaults.trainer.get(name)}
        if given:
            options.update(given, "trainer")
    return str(parser.dump(options, skip_validation=True))


def config_path(result: Path) -> Path:
    """Where the options of a result lie: in a folder ``config.yaml``, beside a file ``NAME.config.yaml``."""
    return result / "config.yaml" if result.is_dir() else result.with_suffix(".config.yaml")


def keywords(options: Namespace) -> dict[str, Any]:
    """Parsed options as keywords of a stage; the Trainer's flags as one dictionary."""
    values = {k: v for k, v in options.as_dict().items() if k not in ("config", "__path__")}
    flags, found = values.get("trainer"), launched()
    if flags and found:
        flags["devices"] = found[0] if flags.get("devices") == "auto" else flags["devices"]
        flags["num_nodes"] = found[1] if flags.get("num_nodes") == 1 else flags["num_nodes"]
    return values


def resolve_configs(arguments: list[str]) -> list[str]:
    """``--config`` may name a shipped file: ``configs/boundary_paper.yaml`` or ``boundary_paper``."""
    resolved = list(arguments)
    for i, argument in enumerate(arguments):
        if argument.startswith("--config="):
            resolved[i] = f"--config={find(argument.removeprefix('--config='), 'configs', ('.yaml',))}"
        elif i and arguments[i - 1] == "--config":
            resolved[i] = str(find(argument, "configs", (".yaml",)))
    return resolved


class one_command:
    """What surrounds a command: errors of users in one line, other libraries' chatter off the screen, a clean end.

    A :class:`UserError` leaves with code 2, and a rank that fails ends the others. After a success the process group
    that the command began is destroyed: where the interpreter ends first, a thread of gloo may abort the process.
    """

    def __enter__(self) -> None:
        self._began_in_group = dist.is_initialized()
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.formatwarning = lambda message, *where, **more: f"warning: {message}\n" if is_rank_zero() else ""
        for name in ("pytorch_lightning", "lightning_fabric", "lightning.fabric", "lightning"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        logging.basicConfig(format="%(message)s", level=logging.WARNING)
        logging.getLogger("ifgan_pl").setLevel(logging.INFO)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UserError):
            fail(str(error))
        if error is not None and (reason := disk_full(error)) is not None:
            fail(reason)
        alarm = Alarm.of_this_process
        if alarm is not None and error is not None:
            alarm.ring()
        if error is None:
            if alarm is not None:
                alarm.end()
            if dist.is_initialized() and not self._began_in_group:
                dist.destroy_process_group()
        Alarm.of_this_process = None
