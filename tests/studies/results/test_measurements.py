import json

import pytest
from recorded import record

from tbd.studies.gradients import Direction, Directions
from tbd.studies.results.measurements import (
    collect_measurements,
    format_measurements,
    read_measurements,
)
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
    assert collect_measurements("gap", [folder], records) == (4, [])
    assert collect_measurements("gap", [folder], records) == (0, [])
    (gap, *_) = read_measurements("gap", records)
    assert (gap.name, gap.seed, gap.config_hash) == ("plain", 0, "hash of plain")
    values = dict(own=20, teachers_scores=40, teachers_boxes=30, teacher=50)
    assert gap.values == values
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
    assert collect_measurements("gap", [folder], records) == (4, ["hd, seed 0"])
    assert {gap.name for gap in read_measurements("gap", records)} == {"plain", "tbd"}


def test_another_result_replaces_none(tmp_path, records):
    collect_measurements("gap", [work_directory(tmp_path / "runs")], records)
    before = read_measurements("gap", records)
    work_directory(tmp_path / "runs", {("tbd", 1): (26.0, 42.0, 37.0)})
    with pytest.raises(ValueError, match=r'tbd, seed 1.*"own": 25.0.*"own": 26.0'):
        collect_measurements("gap", [tmp_path / "runs"], records)
    assert read_measurements("gap", records) == before


def test_measurements_of_a_config_that_has_changed_are_not_shown(tmp_path, records):
    collect_measurements("gap", [work_directory(tmp_path / "runs")], records)
    changed = [record("plain", 0, 20.0, teacher=None), *read_records(records)[1:2]]
    with pytest.raises(ValueError, match="tbd, seed 0, has no record"):
        format_measurements("gap", changed, read_measurements("gap", records))


def test_what_is_no_measurement_is_named(tmp_path, records):
    with pytest.raises(FileNotFoundError, match="let tbd gap make them"):
        collect_measurements("gap", [tmp_path], records)


@pytest.mark.parametrize(
    ("study", "line", "message"),
    [
        ("gap", '{"name": "plain"}', "which is nothing that tbd gap measures"),
        ("gap", "[1]", "which is nothing that tbd gap measures"),
        ("gap", '{"name": ', "not JSON"),
        (
            "gradients",
            '{"name": "a", "config_hash": "h", "seed": 0}',
            "that tbd gradients measures",
        ),
        (
            "gradients",
            '{"name": "a", "config_hash": "h", "seed": 0, "batches": 1, "losses": {"x": 1}}',
            "that tbd gradients measures",
        ),
    ],
)
def test_a_line_that_is_no_measurement_is_named(records, study, line, message):
    file = records.parent / study / records.name
    file.parent.mkdir()
    file.write_text(line + "\n")
    with pytest.raises(ValueError, match=f"cells.jsonl, line 1: .*{message}"):
        read_measurements(study, records)


def test_gradients_are_recorded_and_shown(tmp_path, records):
    root = tmp_path / "runs/tbd/seed_0"
    root.mkdir(parents=True)
    state = dict(config="configs/cells/tbd.py", seed=0, fingerprint="f")
    (root / "run.json").write_text(json.dumps(state))
    losses = {"hd.loss": Direction(1.23456, {"loss_cls": -0.123456})}
    kept = {"fingerprint": "f", **Directions(8, losses).to_dict()}
    (root / "directions.json").write_text(json.dumps(kept))
    assert collect_measurements("gradients", [tmp_path / "runs"], records) == (1, [])
    assert collect_measurements("gradients", [tmp_path / "runs"], records) == (0, [])
    (found,) = read_measurements("gradients", records)
    rounded = {"hd.loss": {"size": 1.2346, "cosines": {"loss_cls": -0.1235}}}
    assert found.values == {"batches": 8, "losses": rounded}
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- results: cells -->\n<!-- end of results -->\n\n"
        "<!-- gradients: cells -->\n<!-- end of gradients -->\n"
    )
    write_page(page, records.parent, tmp_path / "figure.svg")
    *_, row = page.read_text().split("<!-- gradients: cells -->\n")[1].splitlines()[:4]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "`tbd`",
        "`hd.loss`",
        "1",
        "1.23",
        "-0.12",
    ]


def test_a_gap_of_results_that_the_page_does_not_have_is_an_error(tmp_path, records):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- results: cells -->\n<!-- end of results -->\n<!-- gap: x -->\n<!-- end of gap -->\n"
    )
    with pytest.raises(ValueError, match=r"asks for the gap of \['x'\]"):
        write_page(page, records.parent, tmp_path / "figure.svg")
