"""Every option of every term, given what it cannot be; found by the signatures."""

import inspect
import math

import pytest
from campaigns.outcomes import Wanted, judge
from tiny import wrapper

from tbd.distill.build import term_types
from tbd.registry import MODELS

NAN, INFINITE = math.nan, math.inf
NO_NUMBERS = (None, True, "x", "", "1", -1, -0.5, NAN, INFINITE, -INFINITE, [], [1], {}, 1j, object)
NO_SWITCHES = (None, "no", "True", 0, 1, 2.0, NAN, [], {}, object)
NO_CHOICES = (3, True, "no such choice", "", NAN, [], {}, {"typ": "x"}, object)
NO_NUMBERS_OF_LEVELS = (
    3,
    "x",
    "12",
    [-1, 1, 1],
    [NAN, 1, 1],
    [1, INFINITE, 1],
    ["a"],
    [[]],
    [0, 0],
    {},
)
NO_DICTS = (3, True, "x", [], [1], {"type": "x"}, {"none": 1}, object)
NO_MODULES = (3, "backbone", [1], [[]], [NAN], {}, None)
# What is right though it is none of the default's kind: no value, or a text with a meaning.
RIGHT = {
    "hidden_channels": (None,),
    "depth": (None,),
    "bbox_weight": (None,),
    "input_size": (None, 3, []),
    # Counted from the last.
    "level": (-1,),
}


def options():
    """Term, option and a value that it cannot have."""
    for kind in term_types():
        for name, parameter in inspect.signature(MODELS.get(kind)).parameters.items():
            if name != "encoder":
                for value in wrong(name, parameter):
                    yield pytest.param(kind, name, value, id=f"{kind[4:]}-{name}-{value!r:.20}")


def wrong(name, parameter):
    default, hint = parameter.default, str(parameter.annotation)
    if name.endswith("_ckpt"):
        return (3, True, NAN, [], {}, object)
    if name.endswith("_modules"):
        return NO_MODULES
    if "Sequence[float]" in hint:
        return NO_NUMBERS_OF_LEVELS
    if "Mapping" in hint and not isinstance(default, str):
        return NO_DICTS
    if isinstance(default, bool):
        return NO_SWITCHES
    if isinstance(default, str):
        return NO_CHOICES
    return tuple(value for value in NO_NUMBERS if value not in RIGHT.get(name, ()))


@pytest.mark.parametrize(("kind", "name", "value"), options())
def test_what_an_option_cannot_be_is_refused_by_name(kind, name, value):
    config = {"type": kind, name: value}
    if "encoder" in inspect.signature(MODELS.get(kind)).parameters:
        config["encoder"] = dict(type="mmdet.ResNet", depth=18, allow_random=True)
    with pytest.raises((TypeError, ValueError)) as error:
        MODELS.build(config)
    leaves = value if isinstance(value, list) else [value]
    shown = tuple(repr(leaf)[:20] for leaf in (value, tuple(leaves), *leaves))
    verdict, message, lacks = judge(error.value, Wanted((name,)))
    assert verdict == "refused", (message, lacks)
    assert isinstance(value, dict) or any(text in message for text in shown), message


@pytest.mark.parametrize(
    ("kind", "options", "idle"),
    [
        ("FeatureImitation", dict(), dict(near_ratio=0.3)),
        ("FeatureImitation", dict(region="near_objects"), dict(background_weight=3.0)),
        ("LogitDistillation", dict(kind="sigmoid"), dict(beta=2.0)),
        ("LogitDistillation", dict(kind="quality_focal"), dict(temperature=2.0)),
        ("LocalizationDistillation", dict(form="giou"), dict(temperature=3.0)),
        ("LocalizationDistillation", dict(vlr_weight=0.0), dict(vlr_gamma=0.5)),
        ("LocalizationDistillation", dict(vlr_weight=0.0), dict(vlr_overlap="iof")),
        ("QueryDistillation", dict(feature_weight=0.0), dict(feature_mask="every_layer")),
        ("QueryDistillation", dict(feature_weight=0.0), dict(adaptation="conv1x1")),
        (
            "TaskDecoupledFeatureDistillation",
            dict(task_weights=[1, 1]),
            dict(weight_generator="recurrent"),
        ),
        ("TaskDecoupledFeatureDistillation", dict(task_weights=[1, 1]), dict(hidden_channels=8)),
        (
            "TaskDecoupledFeatureDistillation",
            dict(weight_generator=dict(type="tbd.TaskWeightGenerator")),
            dict(hidden_channels=8),
        ),
    ],
)
def test_what_has_no_effect_beside_other_options_is_refused(kind, options, idle):
    build = MODELS.get(f"tbd.{kind}")
    build(**options)
    ((name, value),) = idle.items()
    with pytest.raises(ValueError, match=f"{name}={value!r} has no"):
        build(**options, **idle)


def test_no_term_and_no_kind_of_option_is_left_out():
    found = {param.values[0] for param in options()}
    assert found == set(term_types())
    assert len(list(options())) > 1000


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        *(
            (kind, dict(level_weights=weights), r"distill\.t: level_weights=.* give one for each")
            for kind in term_types()
            if "level_weights" in inspect.signature(MODELS.get(kind)).parameters
            for weights in ([], [1], [1] * 7)
        ),
        (
            "tbd.TaskDecoupledFeatureDistillation",
            dict(weight_generator=dict(type="x")),
            r"weight_generator\.type='x' must be a registered network",
        ),
    ],
)
def test_what_only_the_pair_shows_is_refused_when_it_is_built(kind, options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(wrapper(distill=dict(t=dict(type=kind, **options))))
