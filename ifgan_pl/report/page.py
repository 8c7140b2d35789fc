"""The report as files: one HTML page with its figures inside, and the same numbers as JSON."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ifgan_pl.core.files import write_json, write_text

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.7em}h2{margin-top:2em;border-bottom:1px solid #ddd}table{border-collapse:collapse;margin:1em 0}
td,th{padding:.25em .8em;border-bottom:1px solid #eee;text-align:right}td:first-child,th:first-child{text-align:left}
img{max-width:100%}.note{color:#666;font-size:.92em}"""


def write_report(
    folder: str | Path, *, title: str, sections: Sequence[tuple[str, str]], data: Mapping[str, Any]
) -> Path:
    """Write ``index.html`` and ``report.json``.

    Args:
        folder: made if missing.
        title: of the page, as text.
        sections: (heading as text, content as HTML).
        data: JSON-able; the same numbers.

    Returns:
        the page.
    """
    body = "".join(f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in sections)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    page += f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    folder = Path(folder)
    write_text(folder / "index.html", page)
    write_json(folder / "report.json", data)  # last: its presence says that the report is whole
    return folder / "index.html"
