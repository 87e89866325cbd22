"""Comparison of class lists, in words."""

from collections.abc import Sequence

_SHOWN = 5


def describe_difference(
    first: Sequence[str], second: Sequence[str], first_name: str, second_name: str
) -> str | None:
    """Say how two class lists differ.

    Args:
        first: Class names in the order of their indices.
        second: Likewise.
        first_name: What the first list belongs to, such as ``"the teacher"``.
        second_name: What the second one belongs to.

    Returns:
        The difference, or None if they have the same names in the same order.
    """
    if tuple(first) == tuple(second):
        return None
    if sorted(first) == sorted(second):
        index = next(i for i in range(len(second)) if first[i] != second[i])
        return (
            f"the same {len(second)} classes in another order, first at index {index}: "
            f"{first[index]!r} in {first_name}, {second[index]!r} in {second_name}"
        )
    return (
        f"{len(first)} classes in {first_name}, {len(second)} in {second_name}; "
        f"only {first_name} has {list_names([name for name in first if name not in second])}, "
        f"only {second_name} has {list_names([name for name in second if name not in first])}"
    )


def list_names(names: Sequence[str]) -> str:
    """List class names, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(repr(name) for name in names[:_SHOWN]) or "none") + more
