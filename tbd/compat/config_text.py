"""Configs that a checkpoint carries as text, which MMEngine would execute as Python."""

import ast
import builtins
from collections.abc import Mapping
from typing import Any

# What MMEngine runs: the first when it resumes, the others when it builds a model from a
# checkpoint alone.
_PLACES = (("meta", "config"), ("meta", "cfg"), ("message_hub", "runtime_info", "cfg"))

_VALUES = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.UnaryOp,
    ast.BinOp,
    ast.Name,
    ast.Attribute,
    ast.Call,
    ast.keyword,
    ast.expr_context,
    ast.unaryop,
    ast.operator,
)
_CONSTRUCTORS = frozenset({"bool", "dict", "float", "frozenset", "int", "list", "set", "tuple"})


def find_program(checkpoint: Mapping[str, Any]) -> str | None:
    """Find the first config text of a checkpoint that is a program and not a list of values.

    Args:
        checkpoint: What the file holds.

    Returns:
        Where it stands and the line that does more, or None.
    """
    for place in _PLACES:
        text: Any = checkpoint
        for key in place:
            text = text.get(key) if isinstance(text, Mapping) else None
        line = first_action(text) if isinstance(text, str) else None
        if line is not None:
            return f"{'.'.join(place)}: {line}"
    return None


def first_action(text: str) -> str | None:
    """Return the first line of a Python config that is more than ``name = value``.

    MMEngine writes configs as assignments of literals and ``dict(…)``. Names and attributes may
    stand for values that have no literal, such as ``inf``; what is called must be a constructor of
    plain values, or nothing that exists, which fails but does not act.

    Args:
        text: The config.

    Returns:
        The line, or None if there is none or if the text is not Python at all.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    assigned = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for statement in tree.body:
        if not _is_assignment(statement, assigned):
            return text.splitlines()[statement.lineno - 1].strip()
    return None


def _is_assignment(statement: ast.stmt, assigned: set[str]) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return (
        isinstance(statement, ast.Assign)
        # `_base_` names other files, which would be executed too.
        and all(isinstance(t, ast.Name) and t.id != "_base_" for t in statement.targets)
        and all(
            isinstance(node, _VALUES)
            and (not isinstance(node, ast.Call) or _acts_not(node, assigned))
            for node in ast.walk(statement.value)
        )
    )


def _acts_not(call: ast.Call, assigned: set[str]) -> bool:
    if not isinstance(call.func, ast.Name) or call.func.id in assigned:
        return False
    return call.func.id in _CONSTRUCTORS or not hasattr(builtins, call.func.id)
