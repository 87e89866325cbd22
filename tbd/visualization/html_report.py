"""One HTML file that needs nothing beside it: no network, no script, pictures inside."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

_SCREEN_SCALE = 0.64
"""Of figures of 150 dots per inch on a screen of 96."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 72rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
p { max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.3rem 0.6rem; border-bottom: 1px solid #d5d5d5; text-align: right; }
td { white-space: nowrap; }
th { border-bottom: 2px solid #888; vertical-align: bottom; }
.text th, .text td, th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; vertical-align: top; margin: 1rem 1.5rem 1rem 0; }
img { max-width: 100%; height: auto; }
figcaption { max-width: 46rem; font-size: 0.9rem; color: #444; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture and its caption.

    Attributes:
        png: Content of a PNG file.
        caption: What it shows; also read aloud in its place.
    """

    png: bytes
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        paragraphs: Explanations.
        table: Rows of cells, the first one the head; the first column is text.
        numbers: Whether the other columns hold numbers, which are aligned to the right.
        pictures: Pictures beneath the table.
    """

    title: str
    paragraphs: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    numbers: bool = True
    pictures: Sequence[Picture] = ()


def render_html(title: str, sections: Sequence[Section]) -> str:
    """Render a report.

    Args:
        title: Title of the page.
        sections: Its parts; all texts are plain and get escaped.

    Returns:
        The HTML document.
    """
    body = "\n".join(_section(section) for section in sections)
    heading = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{heading}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{html.escape(section.title)}</h2>"]
    parts += [f"<p>{html.escape(text)}</p>" for text in section.paragraphs]
    if section.table:
        head, *rows = section.table
        lines = [_row(head, "th"), *(_row(row, "td") for row in rows)]
        kind = "numbers" if section.numbers else "text"
        table = "\n".join(lines)
        parts.append(f'<div class="scroll"><table class="{kind}">\n{table}\n</table></div>')
    parts += [_figure(picture) for picture in section.pictures]
    return "\n".join([*parts, "</section>"])


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    caption = html.escape(picture.caption)
    # The width is in the header; drawn for print, pictures have more pixels than a screen needs.
    width = round(int.from_bytes(picture.png[16:20], "big") * _SCREEN_SCALE)
    return (
        f'<figure><img alt="{caption}" width="{width}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
