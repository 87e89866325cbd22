import csv
import json
import math

import pytest

from tbd.studies.comparison.report import (
    RunResult,
    Spread,
    format_table,
    summarize,
    write_report,
)


def result(name, seed, ap, **metrics):
    return RunResult(name, seed, {"ap": ap, **metrics})


RESULTS = [
    result("teacher", 0, 50.0),
    result("plain", 0, 30.0, harmony_score=0.8),
    result("tbd", 0, 33.0, harmony_score=0.9),
    result("plain", 1, 28.0),
    result("tbd", 1, 33.0),
]


def test_mean_and_sample_deviation():
    spread = summarize(RESULTS)["plain"]["ap"]
    assert spread.mean == 29
    assert spread.sd == pytest.approx(2**0.5)
    assert spread.count == 2
    assert summarize(RESULTS)["teacher"]["ap"].sd is None


def test_gain_is_paired_by_seed():
    summary = summarize(RESULTS, baseline="plain")
    # Differences 3 and 5; the deviation of the pairs, not of the two means.
    gain = summary["tbd"]["gain"]
    assert gain.mean == 4
    assert gain.sd == pytest.approx(2**0.5)
    # Two values have one degree of freedom, where t is Cauchy's: its quantile is a tangent.
    half = math.tan(math.pi * 0.475) * 2**0.5 / 2**0.5
    assert (gain.low, gain.high) == pytest.approx((4 - half, 4 + half))
    # The teacher shares seed 0 only.
    assert summary["teacher"]["gain"].mean == 20
    assert summary["teacher"]["gain"].low is None
    assert "gain" not in summary["plain"]


def test_the_gap_closed_is_the_gain_in_parts_of_the_teachers_lead():
    summary = summarize(RESULTS, baseline="plain", teacher="teacher")
    # The plain student's mean is 29, the teacher's 50, the mean gain 4.
    assert summary["tbd"]["gap_closed"].mean == pytest.approx(100 * 4 / 21)
    assert "gap_closed" not in summary["teacher"]
    assert "gap_closed" not in summary["plain"]
    worse = [result("teacher", 0, 20.0), *RESULTS[1:]]
    assert "gap_closed" not in summarize(worse, "plain", "teacher")["tbd"]


def test_missing_values_are_left_out():
    runs = [
        result("a", 0, 1.0, pearson=None),
        result("a", 1, 1.0, pearson=0.5),
        result("b", 0, 1.0),
    ]
    summary = summarize(runs)
    assert summary["a"]["pearson"].count == 1
    assert "pearson" not in summary["b"]


def test_a_run_without_ap_counts_as_0(tmp_path):
    runs = [*RESULTS, result("plain", 2, 29.0), result("tbd", 2, None), result("lost", 0, math.nan)]
    summary = summarize(runs, "plain")
    assert (summary["tbd"]["ap"].mean, summary["tbd"]["ap"].count) == (22, 3)
    assert summary["tbd"]["gain"].mean == pytest.approx((3 + 5 - 29) / 3)
    assert summary["tbd"]["gain"].count == 3
    assert summary["lost"]["ap"].mean == 0
    row = next(line for line in format_table(summary).splitlines() if line.startswith("| tbd"))
    assert row.split("|")[2].strip() == "3"
    write_report(tmp_path, runs, "plain", {})
    text = (tmp_path / "comparison.md").read_text()
    assert "Without an AP, which counts as 0: tbd, seed 2; lost, seed 0." in text


def test_where_no_run_has_an_ap_none_is_invented(tmp_path):
    summary = summarize([result("a", 0, None, pearson=0.5), result("b", 0, None)], "b")
    assert summary == {"a": {"pearson": Spread(0.5, None, 1)}, "b": {}}
    write_report(tmp_path, [result("a", 0, None)], None, {})
    assert "counts as 0" not in (tmp_path / "comparison.md").read_text()


def test_table_lines_up_and_reads_as_markdown():
    table = format_table(summarize(RESULTS, baseline="plain"))
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][:4] == ["config", "seeds", "AP", "gain [95 %, t over seeds]"]
    assert set("".join(cells[1])) == {"-", ":"}
    rows = {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}
    assert rows["tbd"]["AP"] == "33.0 ± 0.0"
    gains = {name: row["gain [95 %, t over seeds]"] for name, row in rows.items()}
    assert gains == {"teacher": "+20.0", "plain": "–", "tbd": "+4.0 [-8.7, +16.7]"}
    assert rows["plain"]["harmony score"] == "0.800"
    assert rows["teacher"]["seeds"] == "1"


def test_a_narrow_terminal_gets_the_first_columns():
    summary = summarize(RESULTS, baseline="plain")
    full = format_table(summary)
    assert format_table(summary, width=len(full.splitlines()[0])) == full
    narrow = format_table(summary, width=len(full.splitlines()[0]) - 1).splitlines()
    assert len(narrow[0]) < len(full.splitlines()[0])
    assert "harmony score" not in narrow[0]
    assert "gain" in narrow[0]
    least = format_table(summary, width=1).splitlines()[0]
    assert [cell.strip() for cell in least.strip("|").split("|")] == ["config", "seeds", "AP"]


def test_a_single_seed_has_no_interval():
    single = [run for run in RESULTS if run.seed == 0]
    title, _, *rows = format_table(summarize(single, "plain")).splitlines()
    assert "t over seeds" not in title
    assert not any("±" in row or "[" in row for row in rows)


def test_no_gain_column_without_baseline():
    assert "gain" not in format_table(summarize(RESULTS))


def test_a_metric_that_no_run_has_takes_no_column():
    assert "AP rare" not in format_table(summarize(RESULTS))
    assert "ms / image" not in format_table(summarize(RESULTS))
    rare = [*RESULTS, result("balanced", 0, 20.0, ap_rare=12.5)]
    lines = format_table(summarize(rare)).splitlines()
    column = [cell.strip() for cell in lines[0].split("|")].index("AP rare")
    cells = {line.split("|")[1].strip(): line.split("|")[column].strip() for line in lines[2:]}
    assert cells["balanced"] == "12.5"
    assert cells["plain"] == "–"


def test_files(tmp_path):
    table = write_report(tmp_path, RESULTS, "plain", {"device": "abacus"})
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert content["machine"] == {"device": "abacus"}
    assert content["summary"]["tbd"]["gain"]["mean"] == 4
    assert content["runs"][1] == {
        "name": "plain",
        "seed": 0,
        "metrics": {"ap": 30.0, "harmony_score": 0.8},
        "config_hash": None,
        "train_seconds": None,
        "versions": {},
    }
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["config"], row["seed"], row["ap"]) for row in rows] == [
        (r.name, str(r.seed), str(r.metrics["ap"])) for r in RESULTS
    ]
    text = (tmp_path / "comparison.md").read_text()
    assert text.startswith(table)
    assert "abacus" in text
    assert "Student's t" in text
