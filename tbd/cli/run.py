"""Run a script, such as MMDetection's own tools, with mmcv's operators in place.

Example::

  tbd run mmdet::tools/test.py work_dirs/my_pair/student.py work_dirs/my_pair/student.pth
"""

import argparse
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

_PACKAGED = "::"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s SCRIPT [ARGUMENT ...]"
    parser.add_argument(
        "script", metavar="SCRIPT", help="a file, or mmdet::tools/... for one of MMDetection's"
    )
    parser.add_argument(
        "arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="passed to the script"
    )


def run(args: argparse.Namespace) -> None:
    """Run the script as Python would."""
    script = find_script(args.script)
    # What Python does for a script: its own folder comes first.
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *args.arguments]
    runpy.run_path(str(script), run_name="__main__")


def find_script(name: str) -> Path:
    """Find a script: a file, or ``package::path`` below what the package ships for ``mim``.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path = Path(name)
    if _PACKAGED in name:
        package, _, inside = name.partition(_PACKAGED)
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or spec.origin is None:
            raise FileNotFoundError(
                f"{name}: the package {package!r} is not installed; install it, or give a file"
            )
        path = Path(spec.origin).parent / ".mim" / inside
    if not name or not os.path.isfile(path):
        raise FileNotFoundError(f"{name!r}: there is no script at {path.absolute()}; give a file")
    return path.resolve()
