"""CITATION.cff, which code hosts and reference managers read; it says what the README says."""

import re
from pathlib import Path

import yaml

import tbd

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def bibtex():
    """Fields of the README's BibTeX entry."""
    entry = re.search(r"```bibtex\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    fields = re.findall(r"(\w+)\s+= \{(.*?)\}[,\n]", entry, re.DOTALL)
    return {key: " ".join(value.split()) for key, value in fields}


def test_what_version_1_2_of_the_format_requires_is_there():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["message"]
    assert CITATION["title"]
    assert all("name" in author for author in CITATION["authors"])
    paper = CITATION["preferred-citation"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert all(author.keys() == {"family-names", "given-names"} for author in paper["authors"])


def test_the_version_is_the_packages():
    assert str(CITATION["version"]) == tbd.__version__


def test_the_paper_is_the_readmes():
    paper, expected = CITATION["preferred-citation"], bibtex()
    assert paper["title"] == expected["title"]
    assert paper["journal"] == expected["journal"]
    assert (str(paper["volume"]), str(paper["year"])) == (expected["volume"], expected["year"])
    names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert " and ".join(names) == expected["author"]
    assert expected["note"] in [item["value"] for item in paper["identifiers"]]
