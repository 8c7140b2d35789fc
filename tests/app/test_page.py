"""The page in a real browser: what a visitor does, and that nothing is asked of another host."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ifgan_pl.app import teach
from ifgan_pl.app.house import House
from ifgan_pl.app.models import Models
from ifgan_pl.images.write import read_provenance
from ifgan_pl.photos import Inverter
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.photos.refinement import Steps
from tests.app.browser import Log, chromium, opened, served
from tests.photos.photographs import HOPPER


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    """The house and its address."""
    chromium()
    models = Models.load("ffhq-mobile", None)
    house = House(
        models,
        scorer="scorer-faces",
        scores="ffhq-mobile-scores",
        taught=tmp_path_factory.mktemp("taught"),
    )
    house.ready.wait(120)
    few = Steps(w=2, layers=2, full=0, weights=0, weights_full=0)
    house._inverter = Inverter(models.generator, None, load_sface().to(models.device), few)
    with pytest.MonkeyPatch.context() as patch, served(house) as where:
        patch.setattr(teach, "KNOWN", 96)  # whose features take seconds
        yield house, where
    house.shut()


@pytest.fixture(scope="module")
def address(home: tuple[House, str]) -> str:
    return home[1]


def expect_set() -> None:
    """What is expected may take as long as everything else: the machine may be busy."""
    from playwright.sync_api import expect

    expect.set_options(timeout=120_000)


@pytest.fixture(scope="module")
def context(address: str) -> Iterator[Any]:
    with opened(viewport={"width": 1280, "height": 800}, accept_downloads=True) as made:
        made.set_default_timeout(120_000)
        expect_set()
        yield made


@pytest.fixture
def page(context: Any, address: str) -> Iterator[Any]:
    made = context.new_page()
    log = Log(made)
    made.goto(address)
    made.wait_for_selector("body[data-ready=yes]")
    yield made
    made.close()
    assert log.hosts <= {address.removeprefix("http://"), ""}
    assert log.errors == []


SHOWN = """(size) => new Promise((go, fail) => {
  addEventListener('shown', e => e.detail.size >= size && go(e.detail.size));
  setTimeout(() => fail(new Error(`no image of ${size} was shown`)), 120000);
})"""


def shown(page: Any, size: int) -> Any:
    """To wait for: the next image of at least this side. To be asked for before what causes it."""
    return page.evaluate_handle(f"window.__next = ({SHOWN})({size}), true")


def wait(page: Any) -> None:
    page.evaluate("() => window.__next")


def drag(page: Any, name: str, share: float, steps: int = 8) -> None:
    """Move a slider with the pointer from its middle to a share of its width."""
    box = page.locator(f"#slider-{name}").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, y, steps=steps)
    page.mouse.up()


def test_a_slider_moves_the_face(page: Any) -> None:
    before = page.get_attribute("#after", "src")
    shown(page, 1024)
    drag(page, "smile", 0.8)
    wait(page)
    assert page.get_attribute("#after", "src") != before
    assert float(page.input_value("#slider-smile")) > 1
    assert "std" in page.inner_text("#sliders .attribute.moved output")
    assert page.locator("#sliders .attribute").count() == 17
    assert "%" in page.inner_text("#sliders .attribute:nth-child(2) .seen-text")
    shown(page, 1024)
    page.click("#undo")
    wait(page)
    assert page.input_value("#slider-smile") == "0"
    assert page.is_disabled("#reset")


def test_the_whole_image_comes_last_where_previews_are_slow(page: Any) -> None:
    """A preview that waits must not go to the server behind the whole image, and take its place."""
    page.evaluate("() => { window.sizes = []; addEventListener('shown', e => sizes.push(e.detail.size)) }")

    def slowly(route: Any) -> None:
        if "full" not in route.request.post_data:
            time.sleep(0.5)
        route.continue_()

    page.route("**/api/edit", slowly)
    shown(page, 1024)
    drag(page, "smile", 0.8)
    wait(page)
    page.wait_for_timeout(1500)
    assert page.evaluate("() => sizes.at(-1)") == 1024
    assert page.is_enabled("#undo")
    page.unroute("**/api/edit")


def test_holds_keys_and_the_original(page: Any) -> None:
    page.check("#hold-all")
    assert page.locator(".attribute input[type=checkbox]:checked").count() == 5  # the core attributes
    page.focus("#slider-age")
    shown(page, 1024)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    wait(page)
    assert page.input_value("#slider-age") == "1"
    page.keyboard.press("o")
    page.wait_for_selector("#before[src^='data:']")
    assert page.get_attribute("#toggle", "aria-pressed") == "true"
    assert page.get_attribute("#before", "src") != page.get_attribute("#after", "src")
    page.click("#files summary")
    page.wait_for_selector("#downloads code")
    assert "--edit age=+1 --hold eyeglasses smile male yaw --seeds 0" in page.inner_text("#downloads")


def test_a_file_is_saved_with_its_provenance(page: Any, tmp_path: Path) -> None:
    page.fill("#number", "40")
    shown(page, 1024)
    page.click("#choose button:text('Show')")
    wait(page)
    shown(page, 1024)
    drag(page, "yaw", 0.3)
    wait(page)
    page.click("#files summary")
    with page.expect_download() as event:
        page.click("#downloads button:text('Image')")
    path = tmp_path / event.value.suggested_filename
    event.value.save_as(path)
    assert path.name.startswith("000040_yaw-")
    assert Image.open(path).size == (1024, 1024)
    assert read_provenance(path)["index"] == 40


def test_faces_are_found_by_what_they_show(page: Any) -> None:
    from playwright.sync_api import expect

    page.click("#tab-explore")
    expect(page.locator("#grid img[src]")).to_have_count(24)
    page.select_option("#filters select[aria-label=Eyeglasses]", "yes")
    page.fill("#filters input[aria-label='Age from']", "60")
    page.press("#filters input[aria-label='Age from']", "Enter")
    expect(page.locator("#count")).to_have_text(re.compile(r"^[\d,]{1,6} of 100,000"))
    expect(page.locator("#grid img[src]")).to_have_count(24)
    number = page.inner_text("#grid button:first-child span")
    page.click("#grid button:first-child")
    page.click("#chosen button:text('Smile')")
    expect(page.locator("#chosen .strip img")).to_have_count(7)
    page.click("#chosen button:text('Edit it')")
    page.wait_for_selector("#edit:not([hidden])")
    expect(page.locator("#number")).to_have_value(number)  # the face before stays until the server knows this one
    shown(page, 1024)
    wait(page)


def test_a_newer_search_wins_whatever_comes_late(page: Any) -> None:
    """The first images of the older grid come when those of the newer one are on their way."""
    from playwright.sync_api import expect

    asked: list[Any] = []
    late: list[Any] = []

    def hold_the_first(route: Any) -> None:
        asked.append(route)
        if len(asked) == 1:
            late.append(route.fetch())
            return
        route.continue_()
        if len(asked) == 3:  # the older grid asks for more while the newer one waits for its second row
            asked[0].fulfill(response=late[0])

    page.route("**/api/thumbnails", hold_the_first)
    page.click("#tab-explore")
    deadline = time.monotonic() + 60
    while not late and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    page.select_option("#filters select[aria-label=Eyeglasses]", "yes")
    expect(page.locator("#grid img[src]")).to_have_count(24, timeout=30_000)


def test_a_photograph_comes_in_and_goes_out(page: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    page.set_input_files("#file", {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no image"})
    expect(page.locator("#error")).to_have_text(re.compile("^Notes.jpg is no image"))
    large = tmp_path / "large.jpg"
    large.write_bytes(HOPPER.read_bytes() + bytes(50 * 2**20))
    page.set_input_files("#file", large)
    expect(page.locator("#error")).to_have_text("Large.jpg has 50 MB, more than 32: make it smaller first")
    page.set_input_files("#file", HOPPER)
    expect(page.locator("#source")).to_have_text(re.compile("^grace_hopper.jpg: likeness"), timeout=120_000)
    shown(page, 1024)
    drag(page, "smile", 0.75)
    wait(page)
    page.click("#files summary")
    with page.expect_download(timeout=120_000) as event:
        page.click("#downloads button:text('Photograph')")
    path = tmp_path / event.value.suggested_filename
    event.value.save_as(path)
    with Image.open(path) as image, Image.open(HOPPER) as before:
        assert image.size == before.size
    assert read_provenance(path)["edit"].keys() == {"smile"}


def test_an_attribute_is_taught_with_24_clicks(page: Any, home: tuple[House, str]) -> None:
    from playwright.sync_api import expect

    seen = home[0].catalogue.units["smile"]
    page.click("#tab-teach")
    page.fill("#lesson", "grin")
    page.click("#teach button:text('Teach it')")
    cards = page.locator(".lesson .card")
    expect(cards).to_have_count(24, timeout=120_000)
    expect(page.locator(".lesson img[src]")).to_have_count(24)
    smiling = [seen[int(text.split()[1])] > 0.5 for text in page.evaluate(ALTS)]
    for i, smiles in enumerate(smiling):
        if i % 2:
            cards.nth(i).locator("button:text('yes')" if smiles else "button:text('no')").click()
        else:
            cards.nth(i).locator("img").click()
            page.keyboard.press("y" if smiles else "n")
    expect(page.locator("#finding")).to_have_text(re.compile(r"AUROC 0\.\d+ .* from 24 answers"), timeout=120_000)
    expect(page.locator("#finding .strip img")).to_have_count(9)
    page.click("#finding button:text('Save grin')")
    expect(page.locator("#saved")).to_have_text(
        re.compile("^Saved in .*boundary.safetensors; the answers are in .*grin.csv")
    )
    expect(page.locator("#sliders .attribute b").last).to_have_text("Grin")
    page.click("#finding button:text('Ask about 24 more')")
    expect(page.locator(".lesson .card.current")).to_have_count(1)
    expect(page.locator(".lesson [aria-pressed=true]")).to_have_count(0)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("[...document.querySelectorAll('.answers')].every(a => a.scrollWidth <= a.clientWidth)")


ALTS = "[...document.querySelectorAll('.lesson img')].map(image => image.alt)"


def test_what_is_wrong_is_said(page: Any) -> None:
    page.fill("#number", "40")
    page.click("summary:text('Advanced')")
    page.fill("#layers", "0-99")
    page.press("#layers", "Tab")
    page.wait_for_selector("#error:not([hidden])")
    assert "rows 0 to 15" in page.inner_text("#error")
    assert page.evaluate(IN_SIGHT)
    page.wait_for_timeout(1000)
    assert page.inner_text("#status") == "", "nothing is waited for"
    page.fill("#layers", "")
    page.press("#layers", "Tab")


IN_SIGHT = "document.querySelector('#error').getBoundingClientRect().bottom <= innerHeight"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_shows_everything(context: Any, address: str, scheme: str) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]")
    for tab in ("edit", "explore", "teach"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour[4:-1].split(","))) < 384) == (scheme == "dark")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select')].filter(e => !e.hidden && !e.labels?.length && "
        "!e.getAttribute('aria-label') && !e.textContent.trim()).map(e => e.outerHTML)"
    )
    assert unnamed == []
    page.close()
