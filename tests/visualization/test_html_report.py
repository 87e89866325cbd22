import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import screenshot
from PIL import Image

from tbd.visualization.html_report import Picture, Section, render_html

COLOUR = (0, 114, 178)


def make_png(width=500, height=300):
    content = io.BytesIO()
    Image.new("RGB", (width, height), COLOUR).save(content, "PNG")
    return content.getvalue()


SECTIONS = [
    Section("Numbers <&>", ["A & B < C"], [["name", "AP"], ["<teacher>", "53.0"]]),
    Section("Pictures", pictures=[Picture(make_png(), 'a "blue" field')]),
]


class Reader(HTMLParser):
    """Collects tags, attributes and texts; fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.texts, self.cells = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            (self.cells if self.open[-1] in ("td", "th") else self.texts).append(data)


def test_everything_is_inside_and_escaped():
    reader = Reader()
    page = render_html("Report <1>", SECTIONS)
    reader.feed(page)
    assert not reader.open
    assert {"Report <1>", "Numbers <&>", "A & B < C", 'a "blue" field'} <= set(reader.texts)
    assert reader.cells == ["name", "AP", "<teacher>", "53.0"]
    sources = [value for name, value in reader.attributes if name in ("src", "href")]
    (source,) = sources
    head, data = source.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == make_png()
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.slow
def test_a_browser_shows_it(tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render_html("Report", SECTIONS))
    pixels = screenshot(path, height=1200)
    field = (pixels == COLOUR).all(axis=2)
    rows, columns = np.flatnonzero(field.any(axis=1)), np.flatnonzero(field.any(axis=0))
    # Shown at 96 instead of 150 dots per inch, and whole.
    assert len(columns) == pytest.approx(320, abs=2)
    assert len(rows) == pytest.approx(192, abs=2)
    assert field.sum() == pytest.approx(320 * 192, rel=0.02)
    # Text above the picture, none beside it.
    assert (pixels[: rows[0]] < 100).all(axis=2).any()
