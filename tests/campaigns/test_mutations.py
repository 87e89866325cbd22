"""The campaigns of :mod:`campaigns.configs` and :mod:`campaigns.annotations`, a part of each."""

import pytest
from tiny_run import write_data

from campaigns import annotations, configs
from campaigns.annotation_mutations import mutations as data_mutations
from campaigns.config_mutations import anywhere, base_config, mutations
from campaigns.outcomes import OUTCOMES, Wanted, judge
from tbd.arguments import check_value

BAD = ("bare", "unhelpful", "silent")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    write_data(folder / "data", images=4)
    return folder


def bad(outcomes):
    return [outcome for outcome in outcomes if outcome.verdict in BAD]


def test_the_config_that_is_mutated_is_sound(folder):
    with configs.quick_and_quiet():
        configs.train_from(base_config(folder / "data"), folder / "sound")


def test_no_mistake_in_a_config_is_passed_over_or_ends_in_a_bare_error(folder):
    chosen = mutations(base_config(folder / "data"), seed=1)
    assert len(chosen) >= 500
    assert bad(configs.campaign(chosen[:150], folder)) == []


def test_no_value_anywhere_ends_in_a_bare_error(folder):
    chosen = anywhere(base_config(folder / "data"), seed=1, number=30)
    assert bad(configs.campaign(chosen, folder)) == []


def test_no_fault_of_data_is_passed_over_or_ends_in_a_bare_error(folder):
    assert bad(annotations.campaign(data_mutations(48, seed=1), folder)) == []


def test_an_error_of_ours_by_mistake_is_told_from_one_on_purpose():
    with pytest.raises(TypeError) as on_purpose:
        check_value("x", int, "key")
    assert judge(on_purpose.value, Wanted(("key",), ("'x'", "'y'")))[0] == "refused"
    assert judge(on_purpose.value, Wanted(("another",), ("3",)))[2] == ("key", "value")
    with pytest.raises(AttributeError) as mistake:
        base_config(None)["model"].wrong  # noqa: B018
    assert judge(mistake.value, Wanted())[0] == "bare"
    assert {*BAD} < {*OUTCOMES}


def test_a_message_names_key_value_and_remedy():
    wanted = Wanted(("lr",), ("-1", "'x'"))
    assert wanted.lacks("optimizer.lr=-1 must not be negative") == ()
    assert wanted.lacks("optimizer.momentum=-1") == ("key", "remedy")
    # A number inside a longer one is not the number.
    assert wanted.lacks("lr=-15 must not be negative") == ("value",)
