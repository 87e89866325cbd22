import json

import pytest
from recorded import record

from tbd.studies.results.gap import collect_gap, format_gaps, gaps_of, read_gaps
from tbd.studies.results.page import write_page
from tbd.studies.results.record import add_records, read_records

MEASURED = {
    ("plain", 0): (20.0, 40.0, 30.0),
    ("plain", 1): (22.0, 41.0, 33.0),
    ("tbd", 0): (25.0, 42.0, 36.0),
    ("tbd", 1): (25.0, 42.0, 37.0),
}


def work_directory(root, measured=MEASURED):
    """Work directories of runs that were measured."""
    for (name, seed), (own, scores, boxes) in measured.items():
        folder = root / f"{name}/seed_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        state = dict(config=f"configs/cells/{name}.py", seed=seed, fingerprint=f"{name} {seed}")
        (folder / "run.json").write_text(json.dumps(state))
        exchange = dict(own=own, teachers_scores=scores, teachers_boxes=boxes, teacher=50.0)
        content = dict(format=2, fingerprint=f"{name} {seed}", teacher="t.pth", exchange=exchange)
        (folder / "gap.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def records(tmp_path):
    runs = [record("plain", seed, 20.0) for seed in (0, 1)]
    runs += [record("tbd", seed, 25.0, baseline="plain", teacher="big") for seed in (0, 1)]
    add_records(tmp_path / "results/cells.jsonl", runs)
    return tmp_path / "results/cells.jsonl"


def test_measurements_are_recorded_once_and_shown_by_config(tmp_path, records):
    folder = work_directory(tmp_path / "runs")
    assert collect_gap([folder], records) == (4, [])
    assert collect_gap([folder], records) == (0, [])
    (gap, *_) = gaps_of(records)
    assert (gap.name, gap.seed, gap.config_hash) == ("plain", 0, "hash of plain")
    assert (gap.own, gap.teachers_scores, gap.teachers_boxes, gap.teacher) == (20, 40, 30, 50)
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- results: cells -->\n<!-- end of results -->\n\n"
        "<!-- gap: cells -->\nold\n<!-- end of gap -->\n"
    )
    write_page(page, records.parent, tmp_path / "figure.svg")
    _, table = page.read_text().split("<!-- gap: cells -->\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[3:6]]
    assert rows[0][:3] == ["teacher", "–", "50.0"]
    assert rows[1] == ["`plain`", "2", "21.0 ± 1.4", "40.5 ± 0.7", "31.5 ± 2.1", "–", "–"]
    # Differences of 2 and 1, and of 6 and 4; t of one degree of freedom is 12.706.
    assert rows[2][-2:] == ["+1.5 [-4.9, +7.9]", "+5.0 [-7.7, +17.7]"]


def test_runs_without_a_record_are_named_and_left_out(tmp_path, records):
    folder = work_directory(tmp_path / "runs", {**MEASURED, ("hd", 0): (1.0, 2.0, 3.0)})
    assert collect_gap([folder], records) == (4, ["hd, seed 0"])
    assert {gap.name for gap in gaps_of(records)} == {"plain", "tbd"}


def test_another_result_replaces_none(tmp_path, records):
    collect_gap([work_directory(tmp_path / "runs")], records)
    before = gaps_of(records)
    work_directory(tmp_path / "runs", {("tbd", 1): (26.0, 42.0, 37.0)})
    with pytest.raises(ValueError, match=r"tbd, seed 1.*'own': 25.0.*'own': 26.0"):
        collect_gap([tmp_path / "runs"], records)
    assert gaps_of(records) == before


def test_measurements_of_a_config_that_has_changed_are_not_shown(tmp_path, records):
    collect_gap([work_directory(tmp_path / "runs")], records)
    changed = [record("plain", 0, 20.0, teacher=None), *read_records(records)[1:2]]
    with pytest.raises(ValueError, match="tbd, seed 0, has no record"):
        format_gaps(changed, gaps_of(records))


def test_what_is_no_measurement_is_named(tmp_path, records):
    with pytest.raises(FileNotFoundError, match="let tbd gap make them"):
        collect_gap([tmp_path], records)
    file = tmp_path / "gaps.jsonl"
    file.write_text('{"name": "plain"}\n')
    with pytest.raises(ValueError, match=r"gaps\.jsonl, line 1: has"):
        read_gaps(file)
    file.write_text('{"name": \n')
    with pytest.raises(ValueError, match=r"gaps\.jsonl, line 1: not JSON"):
        read_gaps(file)


def test_a_gap_of_results_that_the_page_does_not_have_is_an_error(tmp_path, records):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- results: cells -->\n<!-- end of results -->\n<!-- gap: x -->\n<!-- end of gap -->\n"
    )
    with pytest.raises(ValueError, match=r"asks for the gap of \['x'\]"):
        write_page(page, records.parent, tmp_path / "figure.svg")
