import json
import math
from dataclasses import replace

import pytest
from recorded import record

from tbd.studies.results.record import add_records, read_records


def test_records_survive_the_file(tmp_path):
    runs = [record("plain", 0, 40.0), record("tbd", 0, 42.5, baseline="plain", teacher="big")]
    assert add_records(tmp_path / "new/set.jsonl", runs) == 2
    assert read_records(tmp_path / "new/set.jsonl") == runs
    assert len((tmp_path / "new/set.jsonl").read_text().splitlines()) == 2


def test_adding_again_adds_what_is_new_and_keeps_the_rest(tmp_path):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 1, 40.0)])
    first = path.read_text()
    assert add_records(path, [record("plain", 0, 41.0), record("plain", 1, 40.0)]) == 1
    assert path.read_text().startswith(first)
    assert [run.seed for run in read_records(path)] == [1, 0]


def test_another_result_of_a_recorded_run_is_refused(tmp_path):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 1, 40.0)])
    before = path.read_text()
    with pytest.raises(ValueError, match=r"plain.py, seed 1.*ap=40\.0.*ap=43\.0"):
        add_records(path, [record("plain", 1, 43.0)])
    assert path.read_text() == before


def test_what_only_one_of_two_measured_is_no_difference(tmp_path):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 0, 40.0, pearson=0.5)])
    before = path.read_text()
    assert add_records(path, [record("plain", 0, 40.0, harmonious=12.5)]) == 0
    assert path.read_text() == before
    with pytest.raises(ValueError, match=r"with pearson=0\.5 at .* with pearson=0\.6 at"):
        add_records(path, [record("plain", 0, 40.0, pearson=0.6)])


def test_a_changed_config_needs_another_name(tmp_path):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 0, 40.0)])
    changed = replace(record("plain", 1, 40.0), config_hash="another")
    with pytest.raises(ValueError, match=r"plain stands for two configs.*another"):
        add_records(path, [changed])


def test_two_spellings_of_one_config_are_one(tmp_path):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 0, 40.0)])
    assert add_records(path, [replace(record("plain", 1, 40.0), config="./cells/plain.py")]) == 1


def test_a_run_that_is_found_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="plain, seed 3, is there twice"):
        add_records(tmp_path / "set.jsonl", [record("plain", 3, 40.0), record("plain", 3, 40.0)])
    assert not (tmp_path / "set.jsonl").exists()


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "set.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match=r"set\.jsonl is no text in UTF-8"):
        read_records(tmp_path / "set.jsonl")


@pytest.mark.parametrize(
    ("line", "message"), [("{", "line 2: not JSON"), ('{"seed": 1}', r"line 2: has \['seed'\]")]
)
def test_damaged_lines_are_named(tmp_path, line, message):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 0, 40.0)])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_records(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "0", "seed is '0', not a whole number"),
        ("seed", True, "seed is True, not a whole number"),
        ("metrics", None, "metrics is None, not an object of numbers"),
        ("metrics", {"ap": "40"}, "metrics.ap is '40', not a finite number"),
        ("metrics", {"ap50": math.nan}, "metrics.ap50 is nan, not a finite number"),
        ("wall_seconds", math.inf, "wall_seconds is inf, not a finite number"),
        ("baseline", 3, "baseline is 3, not a text or null"),
        ("versions", [], r"versions is \[\], not an object"),
    ],
)
def test_values_of_another_type_are_named_by_line_and_key(tmp_path, key, value, message):
    path = tmp_path / "set.jsonl"
    add_records(path, [record("plain", 0, 40.0), record("plain", 1, 40.0)])
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{json.dumps(json.loads(second) | {key: value})}\n")
    with pytest.raises(ValueError, match=f"set.jsonl, line 2: {message}"):
        read_records(path)


def test_a_run_that_measured_no_number_is_not_recorded(tmp_path):
    with pytest.raises(ValueError, match=r"plain, seed 1: metrics\.pearson is nan"):
        add_records(tmp_path / "set.jsonl", [record("plain", 1, 40.0, pearson=math.nan)])
    assert not (tmp_path / "set.jsonl").exists()


def test_an_ap_of_minus_one_is_none(tmp_path):
    names = {"ap_small": -1, "ap/cell": -1.0, "mask_ap": -1.0, "ap_lost": -1.0, "pearson": -1.0}
    add_records(tmp_path / "set.jsonl", [record("plain", 0, 40.0, **names)])
    (found,) = read_records(tmp_path / "set.jsonl")
    assert found.metrics == {"ap": 40.0, "ap_lost": -1.0, "pearson": -1.0}


def test_seeds_from_100_on_choose():
    assert [record("plain", seed, 1.0).chooses for seed in (0, 99, 100)] == [False, False, True]


@pytest.mark.parametrize(
    ("config", "terms", "method", "detector"),
    [
        ("tbd-inherit_retinanet-fpn64_bccd", None, "tbd-inherit", "retinanet-fpn64_bccd"),
        ("plain", None, "plain", ""),
        ("tbd_gfl_bccd", "hd:norm=peak", "hd-norm=peak", "gfl_bccd"),
        ("tbd_gfl_bccd", "tfd:task_weights=[1,0]", "tfd-task_weights=[1,0]", "gfl_bccd"),
        ("cells_bccd", "tbd+cwd", "tbd+cwd", "cells_bccd"),
    ],
)
def test_a_name_is_a_method_and_a_detector(config, terms, method, detector):
    run = replace(record(config, 0, 1.0), terms=terms)
    assert (run.method, run.detector) == (method, detector)
    assert run.name == "_".join(filter(None, (method, detector)))


def test_every_line_is_plain_json(tmp_path):
    add_records(tmp_path / "set.jsonl", [record("plain", 0, 40.0)])
    content = json.loads((tmp_path / "set.jsonl").read_text())
    assert content["metrics"] == {"ap": 40.0}
    assert content["hardware"] == "one core"
