"""Link torch and its CUDA libraries, gigabytes of them, from another virtual environment.

    python tools/link_packages.py VENV

tools/setup.sh calls it with the Python of a new environment and one that it has made before, whose
files are then shared on disk (hard links) instead of unpacked again. Installers replace files and
do not write into them, so neither environment sees what happens to the other. What cannot be
linked is left to the installer.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import sysconfig
from pathlib import Path

LARGE = re.compile(r"(torch|torchvision|triton|(nvidia|cuda)[-_].+)$")


def packages_of(venv: Path) -> Path:
    """The folder of another environment's packages, if it has this version of Python."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))


def link_distribution(
    distribution: importlib.metadata.Distribution, source: Path, venv: Path
) -> None:
    """Link a distribution's files; copy its scripts, which name the interpreter that runs them.

    Raises:
        OSError: If the two environments lie on different file systems.
    """
    target = Path(sysconfig.get_path("purelib"))
    # An installer believes the metadata, so they come last.
    files = sorted(distribution.files or (), key=lambda file: ".dist-info" in file.parts[0])
    for file in files:
        new = target / file
        new.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        if file.parts[0] == "..":
            text = (source / file).read_bytes().replace(os.fsencode(venv), os.fsencode(sys.prefix))
            new.write_bytes(text)
            new.chmod(0o755)
        else:
            os.link(source / file, new)


def main(venv: Path) -> None:
    source = packages_of(venv)
    try:
        for distribution in importlib.metadata.distributions(path=[str(source)]):
            if LARGE.match(distribution.metadata["Name"]):
                link_distribution(distribution, source, venv)
    except OSError as error:
        print(f"not linked, so it is installed anew: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
