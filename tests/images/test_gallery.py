import json
from html.parser import HTMLParser
from pathlib import Path

from ifgan_pl.images.gallery import gallery_page
from ifgan_pl.images.write import read_provenance

EVIL = '</script><img src="http://elsewhere/x.png" onerror="alert(1)">'


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_names_from_elsewhere_do_nothing_on_the_page(tmp_path: Path) -> None:
    provenance = {"generator": EVIL, "edit": [{EVIL: 1.0}]}
    page = gallery_page(
        [("3", "gallery/000003.jpg", "000003")],
        title=EVIL,
        steps=["original", EVIL],
        start=0,
        stills=["_original.png", "_x+1.png"],
        provenance=provenance,
    )
    elements = Elements(page)
    assert elements.addresses == ["gallery/000003.jpg", "gallery/000003.jpg"]  # relative, and no other
    assert elements.tags.count("img") == elements.tags.count("script") == 1
    assert json.dumps(EVIL)[:9] not in page.split("<script>")[1].split("</script>")[0]
    (tmp_path / "index.html").write_text(page)
    assert read_provenance(tmp_path / "index.html") == provenance
