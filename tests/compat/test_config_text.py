import pytest
from shipped import CONFIGS, shipped

from tbd.compat.config_text import find_program, first_action


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "a = 1\nb = __import__('os').mkdir('x')",
        "a = eval('1')",
        "dict = eval\na = dict('1')",
        "f = open\nf('x', 'w')",
        "a = [open(x) for x in 'ab']",
        "a = (lambda: 1)()",
        "a = {}['x']('y')",
        "_base_ = 'other.py'",
        "a: exec('1') = 1",
        "@exec\ndef f(): pass",
        "if 1: a = 1",
        "a = f'{exec(1)}'",
        "a[exec('1')] = 2",
        "class A(exec('1')): pass",
    ],
)
def test_what_acts_is_found(text):
    assert first_action(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a = dict(b=(1, -2.5), c=[None, True, 'x'], d={1: set()})\n'''text'''",
        "a = inf\nb = dict(c=torch.float16, d=array([1, 2]))",
        "a = <class 'torch.nn.Linear'>",
        "",
    ],
)
def test_values_are_not(text):
    assert first_action(text) is None


def test_the_place_and_line_are_named():
    checkpoint = {
        "meta": {"cfg": "a = 1"},
        "message_hub": {"runtime_info": {"cfg": "a = 1\nexit()"}},
    }
    assert find_program(checkpoint) == "message_hub.runtime_info.cfg: exit()"
    assert find_program({"meta": None}) is None


@pytest.mark.parametrize("name", CONFIGS)
def test_texts_of_the_shipped_configs_are_values(name):
    assert first_action(shipped(name).pretty_text) is None
