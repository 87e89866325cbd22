"""The configs that ship inside the package."""

from pathlib import Path


def configs_dir() -> Path:
    """Folder of the shipped configs, in an installation as in a checkout."""
    return Path(__file__).resolve().parents[1] / ".mim" / "configs"
