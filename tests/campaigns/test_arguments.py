"""The campaign of :mod:`campaigns.arguments`."""

import os

import pytest

from campaigns import arguments
from tbd_command import COMMANDS

BAD = ("bare", "unhelpful", "silent")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arguments")
    with arguments.quick_and_quiet():
        return arguments.write_files(folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_known_what_every_argument_is(command):
    taken = {action.dest for action in arguments.actions(command)} - {"arguments"}
    assert taken == arguments._KINDS[command].keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_bad_argument_is_passed_over_or_ends_in_a_traceback(
    command, names, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found = arguments.campaign(arguments.calls([command]), names)
    assert [outcome for outcome in found if outcome.verdict in BAD] == []
    assert os.listdir(tmp_path) == []


def test_the_campaign_sees_a_traceback_and_silence(names, monkeypatch):
    call = next(call for call in arguments.calls(["train"]) if call.dest == "config")
    monkeypatch.setattr("tbd.cli.values.find_config", lambda text: 1 / 0)
    assert arguments.attack(call, names).verdict == "bare"
    monkeypatch.setattr("tbd.cli.values.find_config", str)
    monkeypatch.setattr("tbd.cli.train.run", lambda args: None)
    assert arguments.attack(call, names).verdict == "silent"
