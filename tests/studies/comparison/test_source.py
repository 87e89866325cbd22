import subprocess

import pytest

from tbd.studies.comparison.source import source_commit


def git(folder, *arguments):
    command = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    for file in ("tbd/losses.py", "configs/pair.py", "docs/page.md"):
        path = tmp_path / "checkout" / file
        path.parent.mkdir(parents=True)
        path.write_text("first\n")
    git(path.parents[1], "init", "-q")
    git(path.parents[1], "add", ".")
    git(path.parents[1], "commit", "-qm", "first")
    return path.parents[1]


def test_the_commit_is_that_of_the_code(checkout):
    assert source_commit(checkout) == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("file", ["tbd/losses.py", "configs/pair.py"])
def test_code_that_no_commit_holds_is_told_from_that_of_the_commit(checkout, file):
    (checkout / file).write_text("second\n")
    assert source_commit(checkout) == f"{git(checkout, 'rev-parse', 'HEAD')}-changed"


def test_what_decides_on_no_result_may_change(checkout):
    (checkout / "docs/page.md").write_text("second\n")
    assert source_commit(checkout) == git(checkout, "rev-parse", "HEAD")


def test_a_package_inside_another_repository_has_no_commit(checkout):
    packages = checkout / ".venv/lib/site-packages"
    packages.mkdir(parents=True)
    assert source_commit(packages) is None


def test_a_folder_without_git_has_no_commit(tmp_path, monkeypatch):
    assert source_commit(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert source_commit(tmp_path) is None
