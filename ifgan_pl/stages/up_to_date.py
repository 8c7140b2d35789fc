"""Whether a result is up to date: it carries the fingerprint of its inputs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import changed, file_digest
from ifgan_pl.core.messages import say


def digest_of(path: str) -> str:
    """Fingerprint of a user's file."""
    if not Path(path).is_file():
        raise UserError(f"no such file: {path}")
    return file_digest(path)


def up_to_date(
    stage: str, out: str | Path, inputs: Mapping[str, Any], read: Callable[[Path], Mapping[str, Any]]
) -> bool:
    """Whether a result carries the fingerprint of these inputs; says so, or names what changed."""
    if not Path(out).exists():
        return False
    try:
        old = dict(read(Path(out)).get("inputs", {}))
    except (UserError, json.JSONDecodeError):
        say(f"{stage}: {out} cannot be read; making it again")
        return False
    differences = changed(old, json.loads(json.dumps(dict(inputs))))
    say(f"{stage}: {'; '.join(differences)}; making it again" if differences else f"{stage}: up to date ({out})")
    return not differences
