"""Several visitors in a real browser, and pointing at a face, where photographs are inverted in a second."""

import io
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from ifgan_pl.app import house as rooms
from ifgan_pl.app.house import House
from tests.app.browser import Log, chromium, opened, served
from tests.photos.photographs import HOPPER

READY = "body[data-ready=yes]"


@pytest.fixture(scope="module")
def browser(visitors: House) -> Iterator[tuple[Any, str]]:
    """A browser and the address of the page."""
    chromium()
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    with served(visitors) as where, opened(viewport={"width": 1280, "height": 800}) as context:
        yield context.browser, where


@pytest.fixture
def enter(browser: tuple[Any, str]) -> Iterator[Callable[[], Any]]:
    """Another visitor comes: a page in a browser context of its own. No page has complained at the end."""
    program, where = browser
    logs, contexts = [], []

    def made() -> Any:
        contexts.append(program.new_context(viewport={"width": 1280, "height": 800}))
        contexts[-1].set_default_timeout(60_000)
        page = contexts[-1].new_page()
        logs.append(Log(page))
        page.goto(where)
        page.wait_for_selector(READY)
        return page

    yield made
    for context in contexts:
        context.close()
    assert [error for log in logs for error in log.errors] == []
    assert {host for log in logs for host in log.hosts} <= {where.removeprefix("http://"), ""}


def expected() -> Any:
    from playwright.sync_api import expect

    return expect


def choose(page: Any, number: int) -> None:
    before = page.get_attribute("#after", "src")
    page.fill("#number", str(number))
    page.click("#choose button:text('Show')")
    expected()(page.locator("#after")).not_to_have_attribute("src", before)


def squeezed() -> dict[str, Any]:
    """A photograph in which no face is found: as a file for the page, 200 × 600."""
    data = io.BytesIO()
    with Image.open(HOPPER) as image:
        image.convert("RGB").resize((200, 600)).save(data, "PNG")
    return {"name": "squeezed.png", "mimeType": "image/png", "buffer": data.getvalue()}


class Endless:
    """An inverter that is never done; the worker lets others pass between its steps."""

    encoder = None

    def __init__(self, inverter: Any) -> None:
        self.steps, self.running, self.ended = inverter.steps, False, False

    def invert(self, found: Any, progress: Callable[[str, int, int], None]) -> None:
        self.running = True
        try:
            while True:
                progress("layers", 1, 2)
                time.sleep(0.01)
        finally:
            self.running, self.ended = False, True


@pytest.fixture
def endless(visitors: House) -> Iterator[Endless]:
    usual = visitors._inverter
    visitors._inverter = made = Endless(usual)
    yield made
    visitors._inverter = usual


def until(condition: Callable[[], bool], page: Any) -> None:
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it took more than 30 seconds")


def test_where_no_face_is_found_eyes_and_mouth_are_clicked(enter: Callable[[], Any]) -> None:
    page, expect = enter(), expected()
    page.set_input_files("#file", squeezed())
    expect(page.locator("#pick h2")).to_have_text("No face found in squeezed.png: show where it is")
    go = page.locator("#pick button:text('Take this face')")
    expect(go).to_be_disabled()
    box = page.locator(".field img").bounding_box()
    assert box["height"] / box["width"] == pytest.approx(3, abs=0.02)
    for x, y in ((87, 190), (119, 186), (170, 180)):
        page.mouse.click(box["x"] + (x + 0.5) * box["width"] / 200, box["y"] + (y + 0.5) * box["height"] / 600)
    expect(page.locator(".marker")).to_have_count(3)
    go.click()
    expect(page.locator("#error")).to_have_text(re.compile("must be three different points, not on one line$"))
    page.mouse.move(box["x"] + 170.5 * box["width"] / 200, box["y"] + 180.5 * box["height"] / 600)
    page.mouse.down()
    page.mouse.move(box["x"] + 106.5 * box["width"] / 200, box["y"] + 279.5 * box["height"] / 600, steps=4)
    page.mouse.up()
    go.click()
    expect(page.locator("#source")).to_have_text(re.compile("^squeezed.png: likeness"))
    page.click("#files summary")
    page.focus("#slider-smile")
    page.keyboard.press("ArrowRight")
    code = page.locator("#downloads code").first
    expect(code).to_have_text(re.compile("--photos squeezed.png --points"))
    points = [[float(x) for x in pair.split(",")] for pair in re.findall(r"\d+\.\d+,\d+\.\d+", code.inner_text())]
    assert points == [pytest.approx(point, abs=2) for point in ([87, 190], [119, 186], [106, 279])]


def test_eyes_and_mouth_are_set_by_keys_alone(enter: Callable[[], Any]) -> None:
    page, expect = enter(), expected()
    page.set_input_files("#file", squeezed())
    expect(page.locator(".field")).to_be_visible()
    for moves in (["Shift+ArrowLeft"], ["Shift+ArrowRight"], ["Shift+ArrowDown", "ArrowDown"]):
        page.focus(".field")
        page.keyboard.press("Enter")
        for key in moves:
            page.keyboard.press(key)
    expect(page.locator("#pick .hint")).to_have_text(re.compile("^Drag a point"))
    page.focus("#pick button:text('Take this face')")
    page.keyboard.press("Enter")
    expect(page.locator("#source")).to_have_text(re.compile("^squeezed.png: likeness"))
    page.set_input_files("#file", squeezed())
    expect(page.locator(".field")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#pick")).to_be_hidden()


def test_two_visitors_see_their_own_faces_while_one_inverts(
    enter: Callable[[], Any], visitors: House, endless: Endless
) -> None:
    one, two = enter(), enter()
    choose(one, 5)
    one.set_input_files("#file", HOPPER)
    until(lambda: endless.running, one)
    choose(two, 5)  # served between the steps of the other's inversion
    choose(one, 7)
    assert endless.running
    assert one.get_attribute("#after", "src") != two.get_attribute("#after", "src")
    assert two.inner_text("#source") == ""
    assert two.input_value("#number") == "5"
    asked = "() => import('./server.js').then(m => m.ask('picture')).catch(error => error.message)"
    assert two.evaluate(asked) == "there is no photograph: send one first"
    two.set_input_files("#file", HOPPER)
    expected()(two.locator("#progress span")).to_have_text(re.compile(r"waiting, 1 before you"))
    one.click("#cancel")
    until(lambda: endless.ended and endless.running, two)  # the other's turn
    two.click("#cancel")
    until(lambda: not endless.running, two)


def test_a_tab_that_is_closed_in_an_inversion_frees_the_worker_and_the_disk(
    enter: Callable[[], Any], visitors: House, endless: Endless
) -> None:
    before = set(visitors.sessions)
    page = enter()
    mine = next(session for name, session in visitors.sessions.items() if name not in before)
    other = enter()
    page.set_input_files("#file", HOPPER)
    until(lambda: endless.running, other)
    assert list(mine.folder.rglob("grace_hopper.jpg"))
    page.close(run_before_unload=False)
    until(lambda: endless.ended and not endless.running, other)
    choose(other, 9)
    mine.seen -= rooms.LEAVING + 1
    visitors.sweep()
    assert not mine.folder.exists()
    assert mine.name not in visitors.sessions


def test_a_second_tab_is_a_visitor_of_its_own(enter: Callable[[], Any]) -> None:
    page = enter()
    choose(page, 5)
    with page.context.expect_page() as event:
        page.evaluate("() => { open(location.href); }")  # which hands the first tab's storage on
    second = event.value
    second.wait_for_selector(READY)
    assert second.input_value("#number") == "0"
    choose(second, 8)
    page.reload()
    page.wait_for_selector(READY)
    assert page.input_value("#number") == "5"  # the first tab finds its own again


REACHABLE = """() => [...document.querySelectorAll('button, input, select, summary, [tabindex="0"]')]
  .filter(e => e.checkVisibility() && !e.disabled && e.tabIndex >= 0 && e.type !== 'file').length"""
FOCUSED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  (document.focused ??= new Set()).add(e);
  const outline = getComputedStyle(e).outlineStyle !== 'none', box = e.getBoundingClientRect();
  const labels = [...e.labels || [], e].map(l => l.textContent.trim()).join('');
  return { fine: outline && box.bottom > 0 && box.top < innerHeight && !!(e.getAttribute('aria-label') || labels),
    count: document.focused.size, html: e.outerHTML.slice(0, 80) };
}"""


@pytest.mark.parametrize("tab", ["edit", "explore", "teach"])
def test_every_control_is_reached_by_the_tab_key_named_and_outlined(enter: Callable[[], Any], tab: str) -> None:
    page = enter()
    page.keyboard.press("Tab")
    for _ in range(["edit", "explore", "teach"].index(tab)):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#{tab}:not([hidden])")
    if tab == "explore":
        expected()(page.locator("#grid img[src]")).to_have_count(24)
    for summary in page.locator("summary:visible").all():
        summary.focus()
        page.keyboard.press("Enter")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(300)
    count, found = page.evaluate(REACHABLE), []
    for _ in range(count + 1):
        page.keyboard.press("Tab")
        found.append(page.evaluate(FOCUSED))
    found.remove(None)  # on its way the focus leaves the page once
    assert [one["html"] for one in found if not one["fine"]] == []
    assert found[-1]["count"] == count
