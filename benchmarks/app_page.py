"""The README's image of the page: a face edited by two sliders, half of it as it was.

    python benchmarks/app_page.py docs/page.jpg

Needs Chromium and ``pip install -e .[app,test]``.
"""

import sys

from app_speed import browser, open_page, server

PORT = 7970
MOVE = """([name, value]) => {
  const slider = document.querySelector(`#slider-${name}`);
  slider.value = value;
  for (const kind of ['input', 'change']) slider.dispatchEvent(new Event(kind, { bubbles: true }));
}"""
HALF = (
    "() => { const wipe = document.querySelector('#wipe'); wipe.value = 50; wipe.dispatchEvent(new Event('input')); }"
)


def main(path: str) -> None:
    with server("-m", "ifgan_pl.app", "--port", str(PORT)), browser() as page:
        open_page(page, PORT, "body[data-ready=yes]")
        page.wait_for_timeout(15_000)  # by the clock: scores are there by then, on a busy machine too
        page.fill("#number", "1")
        page.click("#choose button:text('Show')")
        page.check("#hold-all")
        for name, value in (("smile", 2.0), ("age", -1.0)):
            page.evaluate(MOVE, [name, value])
            page.wait_for_timeout(4000)
        page.evaluate(HALF)
        page.wait_for_timeout(6000)
        page.screenshot(path=path, type="jpeg", quality=85)


if __name__ == "__main__":
    main(*sys.argv[1:])
