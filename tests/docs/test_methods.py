"""docs/methods.md is true to the registry: every term has its row, and nothing else has one."""

import inspect
import re
import sys

import pytest
from documents import ROOT

from tbd.distill import term_types
from tbd.registry import MODELS

TERMS = {
    name: MODELS.get(name)
    for name in term_types()
    if MODELS.get(name).__module__.startswith("tbd.")  # not those that other tests register
}
NEEDS = {
    "predictions": "dense head",
    "head_features": "dense head",
    "head": "dense head",
    "rois": "second stage",
    "queries": "decoder",
}
"""What a page's reader has to have for what a term reads."""


def rows() -> dict[str, list[str]]:
    """Cells of the table's rows by the type that their config line names."""
    found = {}
    for line in (ROOT / "docs" / "methods.md").read_text().splitlines():
        named = re.search(r"`dict\(type=\"(tbd\.\w+)\"", line)
        if line.startswith("| ") and named:
            found[named[1]] = [cell.strip() for cell in line.strip("|").split(" | ")]
    return found


def section(title: str) -> str:
    """What stands below a heading of the page, up to the next one of its level."""
    text = (ROOT / "docs" / "methods.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_costs_in_the_rows_are_those_that_were_measured():
    table = section("What a step costs")
    measured = re.findall(r"^\| [\w+-]+ \| (\d\.\d\d) \|", table, re.MULTILINE)
    shown = {cost for cells in rows().values() for cost in re.findall(r"\d\.\d\d", cells[4])}
    assert len(shown) > 10
    assert shown <= set(measured)


def test_published_figures_in_the_rows_have_their_source_below():
    published = section("Published figures")
    for name, cells in rows().items():
        for figure in re.findall(r"\d\d\.\d", cells[5]):
            assert figure in published, f"{name}: {figure} AP has no source on the page"


def test_no_row_is_of_something_that_is_not_registered():
    assert not set(rows()) - set(TERMS)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_term_has_its_row(name):
    assert name in rows(), (
        f"docs/methods.md has no row for {name}. Add one to its table: acronym, source with arXiv "
        "number, what it distils, what it needs, what a step costs, what was published, "
        f'`dict(type="{name}", loss_weight=…)`'
    )
    method, source, distils, needs, _, _, config = rows()[name]
    assert method
    assert distils
    built = eval(config.strip("`"))
    if "encoder" in built:
        # Its weights would be downloaded.
        built["encoder"] |= dict(pretrained=False, allow_random=True)
    term = MODELS.build(built)
    for read in term.reads & NEEDS.keys():
        assert NEEDS[read] in needs, f"{name} reads {read}: its row's needs have no {NEEDS[read]!r}"

    documented = inspect.getdoc(TERMS[name]) + (sys.modules[TERMS[name].__module__].__doc__ or "")
    papers = set(re.findall(r"arXiv:?\s+(\d{4}\.\d{4,5})", documented))
    shown = set(re.findall(r"\d{4}\.\d{4,5}", source))
    assert papers <= shown, f"{name}'s docstring names {papers}, its row {shown}"
    # People search for a method by its acronym, here and in the reference.
    for acronym in re.findall(r"[A-Z]\w*[A-Z]+\b", method.partition(",")[0]):
        assert acronym in documented, f"{name}'s docstring does not name {acronym}, its row does"
