"""The gallery: a page that opens from disk and moves every face along its edit. Nothing is loaded from elsewhere."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ifgan_pl.core.files import METADATA_KEY

STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#222;background:#fff}
header{position:sticky;top:0;background:#fffffff2;padding:.6em 1.2em;border-bottom:1px solid #ddd;z-index:1}
h1{font-size:1.15em;margin:0}label{display:flex;gap:1em;align-items:center;max-width:40em}
input{flex:1}output{min-width:6em;font-weight:600}.note{color:#666;font-size:.9em;margin:.1em 0}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(240px,100%),1fr));gap:12px;padding:1.2em}
figure{margin:0}
img{display:block;width:100%;aspect-ratio:1;object-fit:cover;object-position:var(--at) 0;background:#eee}
figcaption{display:flex;justify-content:space-between;font-size:.9em}figcaption span{color:#666}
details{padding:0 1.2em 1.2em}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8em}"""

SCRIPT = """const slider = document.querySelector('input'), shown = document.querySelector('output');
const at = i => (steps.length > 1 ? 100 * i / (steps.length - 1) : 0) + '%';
function show(figure, i) {
  figure.style.setProperty('--at', at(i));
  figure.querySelector('span').textContent = steps[i];
  const link = figure.querySelector('a');
  if (stills.length) link.href = link.dataset.face + stills[i];
}
function showAll() {
  shown.textContent = steps[slider.value];
  document.querySelectorAll('figure').forEach(f => show(f, +slider.value));
}
document.querySelectorAll('figure').forEach(figure => {
  figure.addEventListener('pointermove', event => {
    const box = figure.getBoundingClientRect(), part = (event.clientX - box.left) / box.width;
    show(figure, Math.min(steps.length - 1, Math.max(0, Math.floor(part * steps.length))));
  });
  figure.addEventListener('pointerleave', () => show(figure, +slider.value));
});
slider.addEventListener('input', showAll);
showAll();"""


def gallery_page(
    faces: Sequence[tuple[str, str, str]],
    *,
    title: str,
    steps: Sequence[str],
    start: int,
    stills: Sequence[str],
    provenance: Mapping[str, Any],
) -> str:
    """HTML of the gallery; every text is escaped.

    Args:
        faces: of each its label, the address of an image of all its steps side by side, and how the addresses of its
            single images begin.
        title: of the page.
        steps: what each step is called.
        start: the step that is shown first.
        stills: how the addresses of single images end, one a step; empty: there are none to link to.
        provenance: JSON-able, printed at the foot.
    """
    lines = [
        f'<figure><a href="{html.escape(image)}" data-face="{html.escape(face)}">'
        f'<img src="{html.escape(image)}" loading="lazy" alt="face {html.escape(label)}"></a>'
        f"<figcaption>{html.escape(label)}<span></span></figcaption></figure>"
        for label, image, face in faces
    ]
    first = 100 * start / (len(steps) - 1) if len(steps) > 1 else 0
    link = "; a click opens the image" if stills else ""
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
<header><h1>{html.escape(title)}</h1>
<label>all faces<input type="range" min="0" max="{len(steps) - 1}" value="{start}"><output></output></label>
<p class="note">Move the slider for all faces, or the pointer across one{link}.</p></header>
<main style="--at:{first}%">
{chr(10).join(lines)}
</main>
<details><summary>How these images were made</summary>
<pre id="{METADATA_KEY}">{html.escape(json.dumps(provenance, sort_keys=True))}</pre></details>
<script>
const steps = {_script_json(steps)}, stills = {_script_json(stills)};
{SCRIPT}
</script>
</html>
"""


def _script_json(value: Sequence[str]) -> str:
    """JSON inside a script element, which ``</script>`` in a string would end."""
    return json.dumps(list(value)).replace("<", "\\u003c")
