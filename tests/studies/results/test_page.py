import shutil
from pathlib import Path

import pytest
from recorded import record
from shipped import ROOT

from tbd.studies.results.page import write_page
from tbd.studies.results.record import add_records

PAGE = """# Results

Text before.

<!-- results: cells -->
old table
<!-- end of results -->

Text after.
"""


def folder(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    records = [record("plain", seed, 40.0 + seed) for seed in (0, 1, 100)]
    records += [
        record("tbd", seed, 43.0 + 2 * seed, baseline="plain", teacher="big") for seed in (0, 1)
    ]
    add_records(tmp_path / "results/cells.jsonl", records)
    return tmp_path


def write(path):
    return write_page(path / "page.md", path / "results", path / "figure.svg")


def test_block_is_filled_and_the_rest_stays(tmp_path):
    assert write(folder(tmp_path)) == ["cells"]
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Results\n\nText before.\n\n<!-- results: cells -->\n")
    assert text.endswith("<!-- end of results -->\n\nText after.\n")
    assert "old table" not in text
    # Gains of 3 and 4: 3.5 ± 12.706 · 0.7071 / √2.
    assert "+3.5 [-2.9, +9.9]" in text
    assert "confident detections" not in text
    assert "5 runs, 0.8 hours, begun 2026-01-01 to 2026-01-02; one core;" in text


def test_runs_that_choose_are_kept_apart(tmp_path):
    write(folder(tmp_path))
    tables, chosen = (tmp_path / "page.md").read_text().split("Runs that chose settings")
    assert "140.0" not in tables
    assert "140.0" in chosen


def test_writing_again_changes_nothing(tmp_path):
    write(folder(tmp_path))
    first = [(tmp_path / name).read_bytes() for name in ("page.md", "figure.svg")]
    write(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in ("page.md", "figure.svg")] == first


def test_recorded_runs_that_the_page_leaves_out_are_an_error(tmp_path):
    add_records(folder(tmp_path) / "results/more.jsonl", [record("plain", 0, 1.0)])
    with pytest.raises(ValueError, match=r"leaves out more.*<!-- results: more -->"):
        write(tmp_path)


def test_a_block_that_stands_twice_is_an_error(tmp_path):
    (folder(tmp_path) / "page.md").write_text(PAGE + PAGE)
    with pytest.raises(ValueError, match="twice"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            "<!-- results: a -->\nprose\n",
            r"<!-- results: a --> does not end before <!-- results: c",
        ),
        (
            "<!-- gap: cells -->\n<!-- end of results -->\n",
            "<!-- gap: cells --> does not end before",
        ),
        ("<!-- summary -->\n", "<!-- summary --> does not end before <!-- results: cells -->"),
        ("<!-- end of harmony -->\n", "<!-- end of harmony --> ends no block"),
    ],
)
def test_a_block_without_one_of_its_markers_is_an_error(tmp_path, block, message):
    (folder(tmp_path) / "page.md").write_text(block + PAGE)
    with pytest.raises(ValueError, match=message):
        write(tmp_path)
    assert (tmp_path / "page.md").read_text() == block + PAGE


def test_the_last_block_ends_too(tmp_path):
    (folder(tmp_path) / "page.md").write_text(f"{PAGE}<!-- summary -->\nlast words")
    with pytest.raises(ValueError, match="<!-- summary --> does not end; add the line '<!-- end"):
        write(tmp_path)


def test_a_set_without_runs_says_so(tmp_path):
    (folder(tmp_path) / "page.md").write_text(PAGE + PAGE.replace("cells", "other"))
    write(tmp_path)
    assert (
        "<!-- results: other -->\n\nNo run yet.\n\n<!-- end" in (tmp_path / "page.md").read_text()
    )


def test_shipped_page_shows_what_is_recorded(tmp_path):
    docs = ROOT.parent / "docs"
    copy = Path(shutil.copy(docs / "results.md", tmp_path))
    write_page(copy, docs / "results", tmp_path / "figure.svg")
    assert copy.read_text() == (docs / "results.md").read_text()


def test_agreement_is_shown_where_it_was_measured(tmp_path):
    add_records(folder(tmp_path) / "results/cells.jsonl", [record("x", 0, 1.0, harmonious=12.5)])
    write(tmp_path)
    assert "| confident detections | harmonious (%) |" in (tmp_path / "page.md").read_text()
