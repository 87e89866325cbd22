"""Write configs/metafile.yml, the list of configs that OpenMIM (``mim search tbd``) reads.

Run it after adding, moving or removing a config.
"""

import argparse
from pathlib import Path

import yaml

TOP = "tbd"
"""Collection of the configs that lie in no folder."""


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="?", default="configs", help="folder. Default: configs")
    return parser.parse_args()


def main() -> None:
    folder = Path(parse_args().configs)
    paths = [path.relative_to(folder) for path in folder.rglob("*.py")]
    paths = sorted(path for path in paths if "_base_" not in path.parts)
    models = [
        {
            "Name": path.stem,
            "In Collection": path.parent.name or TOP,
            "Config": f"configs/{path.as_posix()}",
        }
        for path in paths
    ]
    collections = sorted({model["In Collection"] for model in models})
    index = {"Collections": [{"Name": name} for name in collections], "Models": models}
    (folder / "metafile.yml").write_text(yaml.safe_dump(index, sort_keys=False))


if __name__ == "__main__":
    main()
