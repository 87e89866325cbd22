"""The commit of this repository that a run was trained by."""

import subprocess
from pathlib import Path

CHANGED = "-changed"
"""What follows the hash of a commit where the code was no longer that commit's."""

_ROOT = Path(__file__).parents[3]
_PARTS = ("tbd", "configs")


def source_commit(root: Path = _ROOT) -> str | None:
    """Find the commit that the code is of.

    Args:
        root: Folder that holds the package. Default: that of the package which is running.

    Returns:
        The commit's hash, followed by :data:`CHANGED` where a file of the package or of its
        configs has changes that the commit does not hold; None where the folder is no checkout of
        git, as that of an installed package is not.
    """
    root = root.resolve()
    # An environment often lies inside another repository, whose commit says nothing of tbd.
    if _git(root, "rev-parse", "--show-toplevel") != str(root):
        return None
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *_PARTS)
    return commit if changed == "" else f"{commit}{CHANGED}"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None
