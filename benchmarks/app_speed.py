"""How soon the page follows the pointer, in a real Chromium; its start and its memory; and the same in Gradio.

    python benchmarks/app_speed.py [start | drag | memory | gradio] [--rounds 3]

``start`` is a whole process until a browser shows the first face. ``drag`` moves a slider with the pointer for ten
seconds: milliseconds from each move to the first image that has it or a later one, from the release to the whole
image, and from the end of 40 moves in 2 s to the last image they cause. ``memory`` is the growth of the server over
200 edits in full. ``gradio`` measures ``start`` and ``drag`` on as many sliders and an image in Gradio (``pip install
gradio``), with the same models behind them, turn about with the page. Needs Chromium and ``pip install -e
.[app,test]``.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timing import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
WATCH = """(slider) => {
  window.asked = []; window.shown = [];
  document.querySelector(slider).addEventListener('input', e => asked.push([e.timeStamp, +e.target.value]), true);
  addEventListener('shown', e => shown.push([e.detail.at, e.detail.asked, e.detail.size]));
}"""
WATCH_GRADIO = """(slider) => {
  window.asked = []; window.shown = [];
  document.querySelector(slider).addEventListener('input', e => asked.push([e.timeStamp, +e.target.value]), true);
  let last = null;
  const look = () => {
    const image = document.querySelector('#out');
    if (image && image.dataset.move !== last && image.complete) {
      last = image.dataset.move;
      const found = asked.filter(([, value]) => Math.abs(value - last) < 1e-6);
      if (found.length) shown.push([performance.now(), found.at(-1)[0], 128]);
    }
    requestAnimationFrame(look);
  };
  look();
}"""
GRADIO = """
import base64, os, sys
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr
from ifgan_pl.app.models import Edit, Face, Models
from ifgan_pl.app.worker import Worker
from ifgan_pl.core.cores import use_one_thread
from ifgan_pl.scorer.loading import find_scorer
use_one_thread()
models, worker = Models.load("ffhq-mobile", None), Worker()
models.scorer = find_scorer("scorer-faces")
def show(*values):
    edit = Edit(Face(0), changes=dict(zip(models.attributes, values)))
    image = worker.submit("a", "image", lambda: models.show(edit)).future.result()
    bars = "".join(f"<p>{n}: {image.values.get(n)} {image.predicted.get(n)}</p>" for n in models.attributes)
    data = base64.b64encode(image.jpeg).decode()
    return f'<img id="out" data-move="{values[1]}" src="data:image/jpeg;base64,{data}">{bars}'
with gr.Blocks() as demo, gr.Row():
    out = gr.HTML(show(*[0] * len(models.attributes)))
    with gr.Column():
        sliders = [gr.Slider(-3, 3, 0, step=0.05, label=n, elem_id=n) for n in models.attributes]
    for slider in sliders:
        slider.input(show, sliders, out, trigger_mode="always_last", show_progress="hidden", queue=False)
demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), share=False, quiet=True)
"""


@contextmanager
def server(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended afterwards."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """A page of a Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found.new_page(viewport={"width": 1280, "height": 800})
        found.close()


def open_page(page: Any, port: int, ready: str) -> None:
    """Load a page as soon as its server answers, and wait until it can be used."""
    deadline = time.monotonic() + 60
    while True:
        try:
            page.goto(f"http://127.0.0.1:{port}")
            break
        except Exception:  # nobody listens yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    page.wait_for_selector(ready, timeout=120_000)


def start(command: list[str], port: int, ready: str) -> float:
    """Seconds from the command to a page that can be used."""
    with browser() as page:
        began = time.perf_counter()
        with server(*command):
            open_page(page, port, ready)
            return time.perf_counter() - began


def drag(page: Any, slider: str, watch: str) -> dict[str, float]:
    """Milliseconds of a slow drag, of its release, and of 40 moves in 2 s."""
    page.evaluate(watch, slider)
    box = page.locator(slider).bounding_box()
    y = box["y"] + box["height"] / 2

    def move(share: float) -> None:
        page.mouse.move(box["x"] + box["width"] * share, y)

    move(0.5)
    page.mouse.down()
    for i in range(100):
        move(0.5 + 0.4 * ((i % 50) / 50 if i < 50 else 1 - (i % 50) / 50))
        time.sleep(0.1)
    released = page.evaluate("performance.now()")
    page.mouse.up()
    page.wait_for_timeout(3000)
    asked, shown = page.evaluate("[asked, shown]")
    waits = sorted(min((at for at, of, _ in shown if of >= t), default=1e9) - t for t, _ in asked)
    found = {"median": statistics.median(waits), "p95": waits[int(0.95 * len(waits))], "moves": len(waits)}
    whole = [at - released for at, _, size in shown if size > 128 and at > released]
    found["release"] = whole[0] if whole else float("nan")
    page.mouse.down()
    for i in range(40):
        move(0.2 + 0.015 * i)
        time.sleep(0.05)
    last = page.evaluate("asked.at(-1)[0]")
    page.wait_for_timeout(2500)
    shown = page.evaluate("shown")
    found["after 40 moves"] = max(at for at, _, size in shown if size <= 128) - last
    page.mouse.up()
    return found


def memory(port: int) -> None:
    """MiB of the server after 20 and after 220 edits in full."""
    with server("-m", "ifgan_pl.app", "--port", str(port)) as process, browser() as page:
        open_page(page, port, "body[data-ready=yes]")
        page.wait_for_timeout(5000)
        sizes = []
        for count in (20, 100, 100):
            for i in range(count):
                page.evaluate(EDIT, i)
            text = Path(f"/proc/{process.pid}/status").read_text()
            sizes.append(int(text.split("VmRSS:")[1].split()[0]) / 1024)
        print(
            f"resident after 20, 120 and 220 edits: {', '.join(f'{size:.0f}' for size in sizes)} MiB (50 more allowed)"
        )


EDIT = """async i => {
  const slider = document.querySelector('#slider-age');
  const whole = new Promise(go => {
    const hear = e => { if (e.detail.size > 128) { removeEventListener('shown', hear); go(); } };
    addEventListener('shown', hear);
  });
  slider.value = (i % 40) / 10 - 2;
  for (const kind of ['input', 'change']) slider.dispatchEvent(new Event(kind, { bubbles: true }));
  await whole;
}"""


def report(name: str, found: dict[str, float]) -> None:
    print(
        f"{name}: {found['median']:.0f} ms median, {found['p95']:.0f} ms p95 of {found['moves']:.0f} moves; "
        f"whole image {found['release']:.0f} ms after release; "
        f"last image {found['after 40 moves']:.0f} ms after 40 moves",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", nargs="?", choices=["start", "drag", "memory", "gradio"])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--port", type=int, default=7960)
    given = options.parse_args()
    page_command = ["-m", "ifgan_pl.app", "--port", str(given.port)]
    gradio_command = ["-c", GRADIO, str(given.port + 1)]
    kinds: dict[str, tuple[list[str], int, str, str, str]] = {
        "the page": (page_command, given.port, "body[data-ready=yes]", "#slider-smile", WATCH)
    }
    if given.what == "gradio":
        gradio = gradio_command, given.port + 1, "#smile input[type=range]", "#smile input[type=range]", WATCH_GRADIO
        kinds["Gradio"] = gradio
    if given.what in (None, "start", "gradio"):
        for name, (command, port, ready, *_) in kinds.items():
            seconds = [start(command, port, ready) for _ in range(given.rounds)]
            print(f"{name}: {statistics.median(seconds):.1f} s from the command to its first face", flush=True)
    if given.what in (None, "drag", "gradio"):
        for _ in range(given.rounds):
            for name, (command, port, ready, slider, watch) in kinds.items():
                with server(*command), browser() as page:
                    open_page(page, port, ready)
                    page.wait_for_timeout(8000)  # until scores are there too
                    report(name, drag(page, slider, watch))
    if given.what in (None, "memory"):
        memory(given.port)


if __name__ == "__main__":
    main()
