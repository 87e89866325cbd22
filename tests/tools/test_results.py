import runpy
import sys

import pytest
from recorded import record
from shipped import ROOT

from tbd.studies.results.record import add_records


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """``tools/results.py compare`` on a file of two configs."""
    lost = {"a": (10.0, 11.0, 12.5), "b": (12.0, 12.5, 12.0)}
    runs = [
        record(name, seed, 40.0, ap_lost=value)
        for name, values in lost.items()
        for seed, value in enumerate(values)
    ]
    add_records(tmp_path / "cells.jsonl", runs)

    def start(file, *arguments):
        command = ["results.py", "compare", str(tmp_path / file), *arguments]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(str(ROOT.parent / "tools/results.py"), run_name="__main__")

    return start


def test_a_comparison_says_which_is_higher_and_not_which_is_better(compare, capsys):
    compare("cells.jsonl", "a", "b", "--metric", "ap_lost")
    text = capsys.readouterr().out
    assert text.startswith("-1.0 [")
    assert text.endswith("] AP lost, higher on 1 of 3 seeds\n")


def test_records_that_are_not_there_are_named(compare):
    with pytest.raises(SystemExit, match=r"results\.py: .*none\.jsonl is no file of records"):
        compare("none.jsonl", "a", "b")
