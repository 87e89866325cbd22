"""Command lines that are parsed alone, on a machine without the files that they name."""

import pytest

from tbd.cli import values

FILES = ("config", "checkpoint", "resumable", "existing", "folder", "output_folder", "subfolder")


def without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arguments name files that are not there and folders that cannot be written."""
    for name in FILES:
        monkeypatch.setattr(values, name, str)
    monkeypatch.setattr(values, "output_file", lambda *suffixes: str)
