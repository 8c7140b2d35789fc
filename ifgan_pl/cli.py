"""The command line: what ``train.py`` and ``edit.py`` do. Parsing and messages only; the work is elsewhere."""

import inspect
import logging
import sys
import warnings
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch.distributed as dist
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from ifgan_pl import __version__
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.messages import is_rank_zero
from ifgan_pl.core.resources import find
from ifgan_pl.stages.all import run_all
from ifgan_pl.stages.boundary import boundary
from ifgan_pl.stages.convert import convert
from ifgan_pl.stages.edit import edit as edit_faces
from ifgan_pl.stages.launch import Alarm, join, launched
from ifgan_pl.stages.preview import preview
from ifgan_pl.stages.report import report
from ifgan_pl.stages.score import score
from ifgan_pl.stages.scorer import train_scorer

TRAIN = """Find linear semantics in the latent space of a face generator.

The stages, each of which ends in files and runs by itself:
  scorer    labelled images -> a facial-attribute scorer
  score     seed and index -> codes, images, scores           (runs/default/scores)
            --images DIR: image files -> a table              (runs/default/images.csv)
  boundary  codes and scores -> one hyperplane an attribute     (runs/default/boundary.safetensors)
  report    what the boundaries do: tables and figures          (runs/default/report/index.html)
  preview   train the cheap preview head of ffhq-mobile
  convert   FILE OUT.safetensors: write a StyleGAN or PGGAN file as portable safetensors
  all       score, boundary and report, whatever is not up to date   (the default)
"""
IMAGES = "folders and files of images to score instead of samples, into the CSV --out; --scorer says by which scorer"
EDIT = """Edit faces along the boundaries of their generator.

  python edit.py --attribute smile                        8 faces, smile from -3 to +3 standard deviations
  python edit.py --attribute age --hold gender eyeglasses --seeds 0-15,40
  python edit.py --edit smile=+2 age=-1 --hold all        several attributes at once, the others held
  python edit.py --attribute pose --latents w.npy --metric identity --unit latent     the paper's z + αn

Needs no training: boundaries of five attributes ship for ffhq-mobile.
"""


FORMATS_HELP = """any of: png, jpg (an image of every face and step); gif, webp, mp4 (an animation of every face,
through its steps and back; more --steps make it smoother; mp4 needs PyAV: pip install 'ifgan_pl[video]'); strip
(labelled sheets, a row a face); grid (labelled sheets, one for each step); html (a gallery, index.html)"""
FLAGS = {
    "allow_numerics_change": "continue a store begun on another device or precision",
    "compile": "torch.compile of synthesis: half a minute the first time, pays most on a GPU (needs a C++ compiler)",
    "pictures": "also keep the scored images, as pictures/<index>.jpg in the store",
    "resume": "continue an interrupted run from checkpoints/last.ckpt beside --out",
}
"""Options of stages that are given without a value."""


class HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Descriptions as they are written; the usage line only names the program."""

    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage("%(prog)s [options]", [], [], prefix)


class Parser(ArgumentParser):
    """An argument parser whose errors are one line and exit code 2, and which knows no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, formatter_class=HelpFormatter, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """One line, no usage dump."""
        fail(message)


def fail(message: str) -> NoReturn:
    """Print one line, once, and leave with code 2: rank 0 says what all find wrong, or the one rank that failed."""
    alarm = Alarm.of_this_process
    if alarm.ring() if alarm is not None else is_rank_zero():
        print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    sys.exit(2)


def stage_parser(stage: Callable[..., Any]) -> Parser:
    """A parser of a stage function's keywords, with ``--config`` and ``--trainer.*``."""
    summary = (stage.__doc__ or "").split("\n\n")[0]
    parser = Parser(description=" ".join(summary.split()))
    parser.add_argument("--config", action="config", help="YAML of options; later ones win. Shipped: see configs/.")
    parameters = inspect.signature(stage).parameters
    if "images" in parameters:
        parser.add_argument("--images", nargs="+", default=[], metavar="PLACE", help=IMAGES)
    flags = FLAGS.keys() & parameters.keys()
    skipped: set[str | int] = {"trainer", "images", *flags}
    parser.add_function_arguments(stage, skip=skipped, as_positional=stage is convert)
    for flag in sorted(flags):
        parser.add_argument(f"--{flag.replace('_', '-')}", action="store_true", help=FLAGS[flag])
    if "trainer" in parameters:
        parser.add_class_arguments(pl.Trainer, "trainer", instantiate=False)
    return parser


def train_parser() -> Parser:
    """The parser of ``train.py``: a subcommand a stage."""
    parser = Parser(prog="train.py", description=TRAIN)
    parser.add_argument("--version", action="version", version=f"ifgan_pl {__version__}")
    commands = parser.add_subcommands(required=True, dest="stage")
    for name, (stage, text) in STAGES.items():
        commands.add_subcommand(name, stage_parser(stage), help=text)
    return parser


STAGES: dict[str, tuple[Callable[..., Any], str]] = {
    "scorer": (train_scorer, "train a facial-attribute scorer"),
    "score": (score, "sample, synthesise, score and store faces"),
    "preview": (preview, "train the cheap preview head of ffhq-mobile"),
    "convert": (convert, "write a generator file as portable safetensors"),
    "boundary": (boundary, "fit the boundaries of all attributes"),
    "report": (report, "measure what the boundaries do"),
    "all": (run_all, "score, boundary and report, whatever is not up to date"),
}


def edit_parser() -> Parser:
    """The parser of ``edit.py``."""
    parser = Parser(prog="edit.py", description=EDIT)
    parser.add_argument("--version", action="version", version=f"ifgan_pl {__version__}")
    parser.add_argument("--config", action="config", help="YAML of options; later ones win")
    what = parser.add_argument_group("what to edit")
    what.add_argument("--attribute", help="one attribute, over --range: smile, age, gender, eyeglasses, pose, …")
    what.add_argument("--edit", nargs="+", default=[], metavar="NAME=STRENGTH", help="several at once: smile=+2 age=-1")
    what.add_argument("--hold", nargs="+", default=[], metavar="NAME", help="attributes that must not move, or: all")
    what.add_argument(
        "--range", nargs=2, type=float, default=[-3.0, 3.0], metavar=("LOW", "HIGH"), help="of --attribute"
    )
    what.add_argument("--steps", type=int, default=7, help="images over --range")
    what.add_argument("--unit", default="std", help="std: standard deviations of the score; latent: the paper's α")
    what.add_argument("--mode", default="shift", help="shift adds to each face; to moves each face to that value")
    what.add_argument(
        "--metric", default="stored", help="stored, covariance, sqrt, or identity: the paper's projection"
    )
    what.add_argument("--layers", default=None, help="rows of W+ to shift, e.g. 0-7; predictions then no longer apply")
    faces = parser.add_argument_group("which faces")
    faces.add_argument("--generator", default="ffhq-mobile", help="name of an embedded generator, or a file")
    faces.add_argument("--boundary", default=None, help="boundary file; by default the shipped one of the generator")
    faces.add_argument("--seeds", default=None, help="sample indices, e.g. 0-15,40 (default 0-7); rows of --latents")
    faces.add_argument("--seed", type=int, default=0, help="stream of the samples, as in train.py score --seed")
    faces.add_argument("--latents", default=None, help="codes from elsewhere: .npy or .safetensors; Z, W or W+")
    faces.add_argument("--space", default=None, help="space of --latents: z, w, w+ (default: the boundary's, or w+)")
    faces.add_argument("--truncation", type=float, default=0.7, help="psi, 0 to 1")
    output = parser.add_argument_group("what to write")
    output.add_argument("--out", default="results", help="folder; must be empty")
    output.add_argument("--format", nargs="+", default=["png", "strip"], metavar="FORMAT", help=FORMATS_HELP)
    output.add_argument("--resolution", type=int, default=None, help="native if the family has it, else averaged down")
    output.add_argument("--scorer", default=None, help="adds scores before and after to edits.csv, e.g. scorer-faces")
    output.add_argument("--resume", action="store_true", help="continue an interrupted run in --out")
    output.add_argument("--batch_size", type=int, default=4, help="faces a step; changes nothing in the result")
    output.add_argument("--compile", action="store_true", help=FLAGS["compile"])
    parser.add_class_arguments(pl.Trainer, "trainer", instantiate=False)
    return parser


def train(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``train.py`` and ``ifgan-train``."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "all")
    with one_command():
        parser = train_parser()
        options = parser.instantiate(parser.parse_args(resolve_configs(arguments)))
        stage, given = STAGES[options.stage][0], keywords(options[options.stage])
        if "trainer" in given:
            join(given["trainer"])
        if "trainer" in given or is_rank_zero():  # what takes no Trainer needs no ranks
            stage(**given)


def edit(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``edit.py`` and ``ifgan-edit``."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with one_command():
        options = keywords(edit_parser().parse_args(resolve_configs(arguments)))
        join(options["trainer"])
        renamed = {"edit": "edits", "range": "limits", "format": "formats"}
        edit_faces(**{renamed.get(k, k): v for k, v in options.items()})


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
        alarm = Alarm.of_this_process
        if alarm is not None and error is not None:
            alarm.ring()
        if error is None:
            if alarm is not None:
                alarm.end()
            if dist.is_initialized() and not self._began_in_group:
                dist.destroy_process_group()
        Alarm.of_this_process = None
