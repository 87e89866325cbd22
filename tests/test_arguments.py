from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytest
from mmengine.config import ConfigDict

import tbd
from tbd.arguments import check_value, checked, describe

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (True, bool),
        (1, int),
        (1, float),
        (0.5, float),
        (None, float | None),
        ("a", Literal["a", "b"]),
        ([1, 2], tuple[float, float]),
        ((1, 2), list[int]),
        ([[0, 1], (1, 2)], Sequence[Sequence[int]]),
        (ConfigDict(a=None), Mapping[str, Mapping[str, Any] | None]),
        ({0: 1}, Mapping[int, int] | Sequence[Sequence[int]] | None),
        (object(), Any),
        (len, Callable[..., Any]),
    ],
)
def test_what_a_hint_allows_passes(value, hint):
    check_value(value, hint, "key")


@pytest.mark.parametrize(
    ("value", "hint", "error", "message"),
    [
        ("no", bool, TypeError, "key='no' must be True or False."),
        (1, bool, TypeError, "key=1 must be True or False."),
        (True, int, TypeError, "key=True must be an integer."),
        (True, float, TypeError, "key=True must be a finite number."),
        ("1", float | None, TypeError, "key='1' must be a finite number or None."),
        (1.0, int, TypeError, "key=1.0 must be an integer."),
        (NAN, float, ValueError, "key=nan must be a finite number."),
        (INFINITE, float | None, ValueError, "key=inf must be a finite number or None."),
        ([NAN, 1], tuple[float, float] | None, ValueError, r"key\[0\]=nan must be a finite number"),
        ([1], tuple[float, float], ValueError, r"key=\[1\] must be a list of 2 items, a finite"),
        ("ab", Sequence[str], TypeError, "key='ab' must be a list whose items are each a text"),
        ({"a": 1}, Sequence[int], TypeError, "must be a list"),
        ({"a": 3}, Mapping[str, Mapping[str, Any] | None], TypeError, r"key\['a'\]=3 must be a d"),
        ({1: {}}, Mapping[str, Any], TypeError, "a key of key=1 must be a text"),
        ("c", Literal["a", "b"], ValueError, "key='c' must be 'a' or 'b'."),
        (3, Literal["a", "b"] | None, TypeError, "key=3 must be 'a' or 'b' or None."),
        (True, Literal[1, 2], TypeError, "key=True must be 1 or 2."),
    ],
)
def test_what_it_does_not_is_named_with_key_value_and_remedy(value, hint, error, message):
    with pytest.raises(error, match=message):
        check_value(value, hint, "key")


@checked
class Part:
    def __init__(self, size: int, *, names: Sequence[str] = (), **others: float) -> None:
        self.size = size


@checked
class Child(Part):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(size=int(scale))


class Foreign(dict):
    pass


def test_a_constructor_is_held_to_its_hints():
    assert Part(3, names=["a"], other=NAN).size == 3
    assert Child(2).size == 2
    with pytest.raises(TypeError, match=r"\.Part: size='3' must be an integer"):
        Part("3")
    with pytest.raises(TypeError, match=r"Part needs size; its arguments are size, names"):
        Part()
    with pytest.raises(TypeError, match=r"has no argument scal=2; did you mean scale\?"):
        Child(scal=2)


def test_a_constructor_of_another_package_is_left_alone():
    assert checked(Foreign).__init__ is dict.__init__


def test_every_registered_part_checks_its_own_constructor():
    unchecked = [
        name
        for registry in (tbd.registry.MODELS, tbd.registry.HOOKS, tbd.registry.METRICS)
        for name, kind in registry.module_dict.items()
        if getattr(kind.__init__, "__module__", "").startswith("tbd.")
        and not hasattr(kind.__init__, "checks_arguments")
    ]
    assert unchecked == []


def test_words_for_hints():
    assert describe(Mapping[int, int] | None) == "a dict or None"
    assert describe(list) == "a list"
