"""YAML files are read as data: a tag that constructs a Python object is refused."""

from typing import Any

import yaml


class DataLoader(yaml.SafeLoader):
    """YAML's safe loader, with the tuples that MMEngine writes into configs."""


def _tuple(loader: DataLoader, node: yaml.Node) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


def _refuse(loader: DataLoader, suffix: str, node: yaml.Node) -> None:
    raise ValueError(
        f"refusing to read a YAML file: its line {node.start_mark.line + 1}, !!python/{suffix}, "
        "would construct a Python object, which can run code. YAML holds plain values; write the "
        "value itself, or use a config in Python, which is a program"
    )


_PYTHON = "tag:yaml.org,2002:python/"
DataLoader.add_multi_constructor(_PYTHON, _refuse)
DataLoader.add_constructor(f"{_PYTHON}tuple", _tuple)
for _name, _plain in (
    ("bool", "bool"),
    ("dict", "map"),
    ("float", "float"),
    ("int", "int"),
    ("list", "seq"),
    ("none", "null"),
    ("str", "str"),
    ("unicode", "str"),
):
    DataLoader.add_constructor(
        _PYTHON + _name, yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{_plain}"]
    )


def read_yaml_as_data() -> None:
    """Let MMEngine read YAML, configs and annotations, without constructing objects."""
    from mmengine.fileio.handlers import yaml_handler

    yaml_handler.Loader = DataLoader
