"""The configs that ship inside the package, and ``tbd::…``, the name that they are read by.

``tbd::tbd_retinanet_r101_r50.py`` and ``tbd::_base_/schedule.py`` name files below
:func:`configs_dir`, wherever MMEngine takes ``mmdet::…``: in ``_base_``, in
:func:`mmengine.hub.get_config` and, through them, as student, as teacher and on the command line.
MMEngine by itself would refuse them, on four grounds:

- its pattern for such names asks for a folder, ``package::folder/file``;
- a fixed table lists the packages that it reads configs from;
- it finds a package by the metadata of its installation, which an editable one misleads;
- it marks all that it reads from a package with the package's scope. Our configs are written in
  MMDetection's, and their ``RetinaNet`` would be looked for in our registry alone.

Because MMEngine reads ``_base_`` before it runs ``custom_imports``, the name is known only where
``tbd`` was imported before, as the command ``tbd`` does. A config for other programs, such as
MMDetection's own tools, gives the path instead and imports ``tbd`` on the way::

    _base_ = [f"{__import__('tbd').configs_dir()}/tbd_retinanet_r101_r50.py"]
"""

import difflib
import functools
from pathlib import Path

PREFIX = "tbd::"


def configs_dir() -> Path:
    """Folder of the shipped configs, in an installation as in a checkout."""
    return (_package_dir() / ".mim" / "configs").resolve()


def packaged_config(name: str) -> Path:
    """Find a shipped config by its name.

    Args:
        name: ``tbd::`` and the path below :func:`configs_dir`.

    Raises:
        FileNotFoundError: The package has no such config.
    """
    folder = configs_dir()
    inside = name.removeprefix(PREFIX)
    path = folder / inside
    if not path.is_file():
        names = [str(found.relative_to(folder)) for found in folder.rglob("*.py")]
        by_file = {found.rpartition("/")[2]: found for found in names}
        near = difflib.get_close_matches(inside.rpartition("/")[2], by_file)
        hint = f"It has {', '.join(PREFIX + by_file[found] for found in near)}" if near else ""
        raise FileNotFoundError(f"{name}: tbd ships no such config in {folder}. {hint}".rstrip())
    return path


def allow_packaged_configs() -> None:
    """Let MMEngine read ``tbd::…``; calling it again changes nothing.

    Names of other packages are MMEngine's own affair, as before.
    """
    import mmengine.hub.hub as hub
    from mmengine.config import Config

    find_config = Config._get_cfg_path
    if getattr(find_config, "knows_tbd", False):
        return

    @functools.wraps(find_config)
    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            # No scope, as for a config that is inherited by its path.
            return str(packaged_config(cfg_path)), None
        return find_config(cfg_path, filename)

    find.knows_tbd = True  # type: ignore[attr-defined]
    Config._get_cfg_path = staticmethod(find)

    # Not hub.get_config itself: who imported that before keeps the original.
    split_name, find_package = hub._get_package_and_cfg_path, hub.get_installed_path

    @functools.wraps(split_name)
    def split(cfg_path: str) -> tuple[str, str]:
        if cfg_path.startswith(PREFIX):
            packaged_config(cfg_path)
            return "tbd", cfg_path.removeprefix(PREFIX)
        return split_name(cfg_path)

    @functools.wraps(find_package)
    def locate(package: str) -> str:
        return str(_package_dir()) if package == "tbd" else find_package(package)

    hub._get_package_and_cfg_path = split
    hub.get_installed_path = locate


def _package_dir() -> Path:
    return Path(__file__).resolve().parents[1]
