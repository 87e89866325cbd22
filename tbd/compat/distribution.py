"""Which distribution of MMDetection is installed, and what to do if none or two are."""

import shlex
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

# The extras onedl and openmmlab of pyproject.toml. Advice names the packages and not the extras,
# because an extra has to be asked for where tbd itself came from: an index, a file, a checkout.
_REQUIREMENTS = {
    "OneDL": ("onedl-mmdetection>=3.5.1", "onedl-mmengine>=0.10.12", "onedl-mmcv>=2.3.6"),
    "OpenMMLab": ("mmdet>=3.3.0", "mmengine>=0.10.7", "mmcv-lite>=2.1.0", "setuptools<81"),
}
_PACKAGES = {
    "OneDL": ("onedl-mmdetection", "onedl-mmengine", "onedl-mmcv"),
    "OpenMMLab": ("mmdet", "mmengine", "mmcv", "mmcv-lite", "mmcv-full"),
}
_MODULES = ("mmdet", "mmengine", "mmcv")


def check_distribution() -> None:
    """Check that exactly one distribution of MMDetection is installed.

    Only package metadata is read and nothing is imported, so the check takes milliseconds.

    Raises:
        ImportError: If ``mmdet``, ``mmengine`` or ``mmcv`` cannot be found, or if packages of
            both distributions are installed: they overwrite each other's files, and which
            code runs then depends on the order of installation.
    """
    installed = {name: _installed(packages) for name, packages in _PACKAGES.items()}
    if all(installed.values()):
        raise ImportError(_both_installed(installed))
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise ImportError(_missing(missing, installed))


def _installed(packages: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _commands(names: list[str]) -> str:
    return "\n".join(
        f"    pip install {shlex.join(_REQUIREMENTS[name])}  # {name}" for name in names
    )


def _both_installed(installed: dict[str, dict[str, str]]) -> str:
    found = "; ".join(
        f"{name}: " + ", ".join(f"{package} {number}" for package, number in versions.items())
        for name, versions in installed.items()
    )
    packages = " ".join(package for versions in installed.values() for package in versions)
    return (
        f"packages of both distributions of MMDetection are installed ({found}). They provide "
        "the same modules and overwrite each other's files. Remove them all and install one of "
        f"the two:\n    pip uninstall -y {packages}\n{_commands(list(_REQUIREMENTS))}"
    )


def _missing(missing: list[str], installed: dict[str, dict[str, str]]) -> str:
    # Where a part is installed already, the other distribution is no longer a choice.
    begun = [name for name, versions in installed.items() if versions]
    choice = begun or list(_REQUIREMENTS)
    one_of = "one of the two distributions of MMDetection" if len(choice) > 1 else "the rest"
    return (
        f"tbd needs MMDetection, but cannot find {', '.join(missing)}. "
        f"Install {one_of}:\n{_commands(choice)}"
    )
