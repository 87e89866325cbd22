"""The site that mkdocs.yml describes: whole, and readable without a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The command line has a page of its own, docs/command.md.
ROOMS = {path.parent.name for path in ROOT.glob("tbd/*/__init__.py")} - {"cli"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the extra tbd[docs] is not installed")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert built.returncode == 0, built.stderr[-4000:]
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(ROOMS)
    for page in pages:
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*>", page.read_text())
        foreign = [tag for tag in loaded if re.search(r"(?:src|href)=\"?(?:https?:)?//", tag)]
        assert not foreign, f"{page.name}: {foreign}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_every_package_has_a_page_of_reference(room):
    page = ROOT / "docs" / "reference" / f"{room}.md"
    assert page.is_file(), (
        f"docs/reference/{page.name} is missing: '::: tbd.{room}', see mkdocs.yml"
    )
    assert f"::: tbd.{room}" in page.read_text()


def test_docstrings_are_read_with_links_instead_of_sphinx_roles(site):
    page = (site / "reference" / "distill.html").read_text()
    assert 'id="tbd.distill.HarmonyDistillation.forward"' in page
    assert not re.search(r":(?:attr|class|data|func|meth|mod):", page)
    hooks = (site / "reference" / "engine.html").read_text()
    assert 'href="#tbd.engine.load_config"' in hooks
