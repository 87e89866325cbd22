"""The checkout that runs were trained from: its commit, and which configs that holds."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tbd.compat import configs_dir
from tbd.compat.packaged_configs import PREFIX


@dataclass(frozen=True)
class Checkout:
    """A state of this repository.

    Attributes:
        root: Its folder.
        commit: Hash of the commit.
        files: Paths of all that the commit holds, relative to ``root``.
    """

    root: Path
    commit: str
    files: frozenset[str]

    def place_of(self, config: str) -> str:
        """Find a config in the commit, whichever way it was written on the command line.

        Args:
            config: ``tbd::…``, an absolute path, or one relative to ``root``.

        Returns:
            Its path, relative to ``root``.

        Raises:
            ValueError: The commit does not hold it.
        """
        path = Path(config)
        if config.startswith(PREFIX):
            path = Path("configs", config.removeprefix(PREFIX))
        elif path.is_absolute() and path.resolve().is_relative_to(configs_dir()):
            path = "configs" / path.resolve().relative_to(configs_dir())
        file = (self.root / path).resolve()
        place = file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else None
        if place not in self.files:
            raise ValueError(
                f"{config} is not part of commit {self.commit[:7]} of {self.root}, so that nobody "
                "could train it again. Commit it under configs/ and train it from there, or name "
                "the checkout that holds it by --source."
            )
        return place


def read_checkout(folder: str | os.PathLike[str]) -> Checkout:
    """Read the state of a checkout.

    Args:
        folder: Any folder of it.

    Raises:
        ValueError: The folder belongs to no checkout of git, or has changes that no commit holds.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        found = subprocess.run(command, capture_output=True, text=True)
        if found.returncode:
            raise ValueError(
                f"--source {folder}: git says {found.stderr.strip()!r}. Name the checkout of this "
                "repository that the runs were trained from."
            )
        return found.stdout.strip()

    root = Path(git("rev-parse", "--show-toplevel")).resolve()
    changed = git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise ValueError(
            f"{folder} has changes that no commit holds, so that its runs cannot be repeated:\n"
            f"{changed}"
        )
    files = git("-C", str(root), "ls-files", "-z").split("\0")
    return Checkout(root, git("rev-parse", "HEAD"), frozenset(files))
