import json
import shutil

import pytest
import tiny
from finished_run import write_finished_run
from tiny_run import write_data

from tbd.studies.gap import Exchange, finished_exchanges, format_gap, gap, measure_gap


@pytest.fixture
def comparison(tmp_path):
    """Work directories of a teacher, a plain student and a distilled one, two seeds of each."""
    write_data(tmp_path / "data")
    root = tmp_path / "comparison"
    wide = tiny.retinanet(width=8, channels=16)
    wrapper = tiny.wrapper(
        student=tiny.retinanet(),
        teacher=wide,
        teacher_ckpt=str(root / "wide/seed_0/epoch_1.pth"),
    )
    for name, model, seeds in (
        ("wide", wide, [0]),
        ("plain", tiny.retinanet(), [0, 1]),
        ("hd", wrapper, [0, 1]),
    ):
        for seed in seeds:
            write_finished_run(root, name, seed, model, tmp_path / "data")
    return root


def test_students_are_measured_once_and_compared_by_seed(comparison, capsys, monkeypatch):
    measured = []
    measure = gap.measure_exchange

    def counted(student, *arguments):
        measured.append(student)
        return measure(student, *arguments)

    monkeypatch.setattr(gap, "measure_exchange", counted)
    table = measure_gap(comparison)
    assert len(measured) == 4
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == ["teacher", "`plain`", "`hd`"]
    assert (comparison / "gap.md").read_text() == table + "\n"
    assert table in capsys.readouterr().out
    assert measure_gap(comparison) == table
    assert len(measured) == 4
    # What a run was before it was trained anew is no run of the comparison.
    shutil.copytree(comparison / "hd/seed_1", comparison / "hd/seed_1.replaced_1")
    assert measure_gap(comparison) == table
    # Another training in the same folder.
    state = comparison / "hd/seed_1/run.json"
    state.write_text(state.read_text().replace("hd1", "hd2"))
    assert ("hd", 1) not in finished_exchanges(comparison)
    measure_gap(comparison, ["hd"])
    assert len(measured) == 5
    # And other images that it was measured on.
    content = json.loads(state.read_text()) | {"test_annotations_sha256": "others"}
    state.write_text(json.dumps(content))
    assert ("hd", 1) not in finished_exchanges(comparison)
    measure_gap(comparison, ["hd"])
    assert len(measured) == 6
    found = finished_exchanges(comparison)
    assert list(found) == [("hd", 0), ("hd", 1), ("plain", 0), ("plain", 1)]
    assert found["hd", 0].teacher == found["plain", 1].teacher


def test_a_moved_folder_is_read_at_its_new_place(comparison, monkeypatch):
    table = measure_gap(comparison)
    moved = comparison.rename(comparison.with_name("moved"))
    monkeypatch.setattr(gap, "measure_exchange", None)
    assert measure_gap(moved) == table


def test_of_some_configs_the_table_keeps_what_the_others_had(comparison):
    table = measure_gap(comparison)
    assert measure_gap(comparison, ["hd"]) == table


@pytest.mark.parametrize("content", ["", '{"format": 1', "[]", '{"format": 1}', "null"])
def test_a_measurement_that_cannot_be_read_is_made_again(comparison, content):
    table = measure_gap(comparison)
    kept = comparison / "hd/seed_0/gap.json"
    kept.write_text(content)
    assert ("hd", 0) not in finished_exchanges(comparison)
    assert measure_gap(comparison) == table
    assert json.loads(kept.read_text())["format"] == 2


def test_gains_are_paired_by_seed():
    found = {
        ("plain", 0): Exchange(20, 40, 30, 50),
        ("plain", 1): Exchange(22, 41, 33, 50),
        ("hd", 0): Exchange(25, 42, 36, 50),
        ("hd", 1): Exchange(25, 42, 37, 50),
        ("tfd", 1): Exchange(23, 44, 34, 50),
    }
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in format_gap(found, {"plain"}).splitlines()
        if (cells := line.split("|"))
    }
    assert rows["teacher"] == ["–", "50.0", "–", "–", "–", "–"]
    assert rows["`plain`"][:3] == ["2", "21.0 ± 1.4", "40.5 ± 0.7"]
    # Differences of 2 and 1, and of 6 and 4; t of one degree of freedom is 12.706.
    assert rows["`hd`"][-2:] == ["+1.5 [-4.9, +7.9]", "+5.0 [-7.7, +17.7]"]
    assert rows["`tfd`"][-2:] == ["+3.0", "+1.0"]
    assert rows["`plain`"][-2:] == ["–", "–"]


def test_folders_that_say_nothing_of_a_gap_are_refused(comparison, tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run"):
        measure_gap(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no finished run of tfd; it has"):
        measure_gap(comparison, ["tfd"])
    for seed in (0, 1):
        (comparison / f"hd/seed_{seed}/run.json").unlink()
    with pytest.raises(ValueError, match="distillations by 0 teachers"):
        measure_gap(comparison)
