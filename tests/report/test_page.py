import json
from pathlib import Path

from ifgan_pl.report.page import write_report


def test_titles_are_text_and_sections_are_html(tmp_path: Path) -> None:
    sections = [("R² & <b>", "<p>first</p>"), ("second", "<table></table>")]
    page = write_report(tmp_path / "new", title="<script>", sections=sections, data={"b": 1, "a": [0.5]})
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "new" / "index.html"
    assert "<title>&lt;script&gt;</title>" in text
    assert "<h2>R² &amp; &lt;b&gt;</h2><p>first</p><h2>second</h2><table></table></html>" in text
    assert "<script" not in text
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == {"a": [0.5], "b": 1}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["index.html", "report.json"]
