import numpy as np
import pytest
from recorded import record
from scipy import stats

from tbd.studies.results.table import (
    compare_records,
    find_pairs,
    format_agreement,
    format_gains,
    format_pair,
)

PLAIN = [46.0, 47.0, 45.5, 46.2, 46.9]
TBD = [49.0, 48.1, 49.5, 49.9, 48.8]


def runs():
    return [
        record("teacher", 0, 57.0),
        *(record("plain", seed, ap, ap_lost=3.0) for seed, ap in enumerate(PLAIN)),
        *(record("tbd", s, ap, baseline="plain", teacher="teacher") for s, ap in enumerate(TBD)),
        record("hd", 3, 45.0, baseline="plain", teacher="teacher"),
        record("alone", 0, 30.0),
    ]


def test_gain_is_paired_by_seed_and_its_interval_is_the_paired_t_tests():
    pair, alone = find_pairs(runs())
    assert [row.name for row in pair.rows] == ["teacher", "plain", "tbd", "hd"]
    assert [row.name for row in alone.rows] == ["alone"]
    tbd = pair.rows[2]
    expected = stats.ttest_rel(TBD, PLAIN).confidence_interval(0.95)
    assert (tbd.gain.low, tbd.gain.high) == pytest.approx(tuple(expected))
    assert tbd.gap_closed == pytest.approx(np.mean(np.subtract(TBD, PLAIN)) / (57 - np.mean(PLAIN)))


def test_two_configs_are_compared_on_the_seeds_that_both_have():
    others = [*runs(), record("hd", 4, 48.0), record("hd", 100, 99.0), record("tbd", 100, 0.0)]
    gain, higher = compare_records(others, "tbd", "hd")
    expected = stats.ttest_rel([49.9, 48.8], [45.0, 48.0]).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx(tuple(expected))
    assert (gain.count, higher) == (2, 2)
    with pytest.raises(ValueError, match=r"cwd is not recorded .* are teacher, plain"):
        compare_records(others, "tbd", "cwd")
    with pytest.raises(ValueError, match="no seed in common"):
        compare_records(others, "hd", "alone")


def test_a_method_of_fewer_seeds_is_held_against_the_same_seeds():
    hd = find_pairs(runs())[0].rows[3]
    assert hd.gains == pytest.approx({3: -1.2})
    assert hd.gain.half_width is None
    # Against the plain student of seed 3, not against the mean of all seeds.
    assert hd.gap_closed == pytest.approx(-1.2 / (57 - 46.2))


def test_order_of_the_records_does_not_matter_for_the_pairing():
    rows = {row.name: row for row in find_pairs(runs()[::-1])[0].rows}
    assert rows["tbd"].gains == pytest.approx(dict(enumerate(np.subtract(TBD, PLAIN))))


def test_a_run_without_an_ap_counts_as_zero():
    records = [record("plain", 0, 40.0), record("x", 0, baseline="plain", teacher="t")]
    assert find_pairs(records)[0].rows[1].gain.mean == -40.0


def test_an_ap_that_nobody_measured_is_not_zero():
    masks = [
        record("plain", 0, mask_ap=30.0, ap_rare=1.0),
        record("tbd", 0, baseline="plain", teacher="t", mask_ap=33.0),
    ]
    boxes = [record("a", 0, 40.0), record("b", 0, 41.0, baseline="a", teacher="t")]
    pair, other = find_pairs([*masks, *boxes])
    plain, tbd = (
        [cell.strip() for cell in line.split("|")[3:6]]
        for line in format_pair(pair).splitlines()[2:]
    )
    assert plain == tbd == ["–", "–", "–"]
    assert "0.0" not in format_gains(pair)
    assert other.rows[1].gain.mean == 1.0
    with pytest.raises(ValueError, match="tbd was not measured by ap"):
        compare_records(masks, "tbd", "plain")
    assert compare_records(masks, "tbd", "plain", "mask_ap")[0].mean == 3.0


def test_mean_and_gain_count_a_run_without_an_ap_alike():
    records = [record("plain", seed, 40.0) for seed in range(3)]
    for seed, ap in enumerate((44.0, 46.0, None)):
        metrics = {} if ap is None else {"ap50": 60.0 + seed}
        records.append(record("x", seed, ap, baseline="plain", teacher="t", **metrics))
    _, _, _, line = format_pair(find_pairs(records)[0]).splitlines()
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[:2] == ["0–2", "30.0 ± 26.0"]
    assert cells[2].startswith("-10.0 ")
    # Of what else it lacks, nothing is known.
    assert cells[4] == "60.5 ± 0.7"


def test_a_pair_without_its_plain_student_has_no_gain():
    (pair,) = find_pairs([record("x", 0, 41.0, baseline="plain", teacher="t")])
    assert pair.rows[0].gain is None
    assert "41.0" in format_pair(pair)


def test_table():
    head, _, teacher, plain, tbd, hd = format_pair(find_pairs(runs())[0]).splitlines()
    assert "AP lost" in head
    assert "harmony" not in head
    cells = [cell.strip() for cell in plain.split("|")[1:-1]]
    assert cells == ["`plain`", "0–4", "46.3 ± 0.6", "–", "–", "3.0 ± 0.0", "10"]
    assert "+2.7 [+1.2, +4.3]" in tbd
    assert "26%" in tbd
    assert "-1.2" in hd
    assert "57.0" in teacher


def test_no_run_is_left_out_of_the_single_values():
    text = format_gains(find_pairs(runs())[0])
    for ap, base in zip(TBD, PLAIN, strict=True):
        assert f"{ap:.1f} ({ap - base:+.1f})" in text
    assert [text.splitlines()[0].count(f"seed {seed}") for seed in range(6)] == [1, 1, 1, 1, 1, 0]


def test_two_students_of_one_teacher_are_two_pairs():
    records = [
        record("teacher", 0, 57.0),
        record("small", 0, 40.0),
        record("tiny", 0, 30.0),
        record("tbd_small", 0, 42.0, baseline="small", teacher="teacher"),
        record("tbd_tiny", 0, 35.0, baseline="tiny", teacher="teacher"),
    ]
    pairs = find_pairs(records)
    assert [[row.name for row in pair.rows] for pair in pairs] == [
        ["teacher", "small", "tbd_small"],
        ["teacher", "tiny", "tbd_tiny"],
    ]


def test_agreement_shows_what_was_measured():
    names = {"iou_0.00_0.50": 40.0, "iou_0.90_1.00": 5.0}
    records = [record("a", 0, 1.0, **names), record("a", 1, 1.0, **names | {"iou_0.90_1.00": 7.0})]
    head, _, line = format_agreement(find_pairs(records)[0]).splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == [
        "IoU 0.00 to 0.50 (%)",
        "IoU 0.90 to 1.00 (%)",
    ]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["40.0 ± 0.0", "6.0 ± 1.4"]
    assert format_agreement(find_pairs([record("a", 0, 1.0)])[0]) == ""


def test_detectors_without_teacher_are_held_against_what_they_were_recorded_against():
    records = [
        record("ce", 0, 44.0, ap_rare=25.0),
        record("ce", 1, 45.0, ap_rare=26.0),
        record("focal", 0, 43.0, baseline="ce", ap_rare=27.0),
        record("focal", 1, 43.5, baseline="ce", ap_rare=30.0),
        record("tbd", 0, 49.0, baseline="ce", teacher="big"),
    ]
    plain, distilled = find_pairs(records)
    assert (plain.teacher, [row.name for row in plain.rows]) == (None, ["ce", "focal"])
    assert plain.rows[1].gains == pytest.approx({0: -1.0, 1: -1.5})
    assert plain.rows[1].gap_closed is None
    assert "28.5 ± 2.1" in format_pair(plain)
    assert [row.name for row in distilled.rows] == ["ce", "tbd"]


def test_two_configs_are_compared_by_any_metric_and_on_either_kind_of_seeds():
    records = [
        *(record("a", seed, 40.0, ap_rare=20.0 + seed) for seed in (0, 1, 100, 101)),
        *(record("b", seed, 41.0, ap_rare=18.0 + 2 * seed) for seed in (0, 1, 100, 101)),
        record("c", 0, 30.0),
    ]
    gain, higher = compare_records(records, "a", "b", "ap_rare")
    assert (gain.mean, gain.count, higher) == (pytest.approx(1.5), 2, 2)
    gain, higher = compare_records(records, "a", "b", "ap_rare", choosing=True)
    assert (gain.mean, gain.count, higher) == (pytest.approx(-98.5), 2, 0)
    with pytest.raises(ValueError, match="c was not measured by ap_rare"):
        compare_records(records, "a", "c", "ap_rare")
    with pytest.raises(ValueError, match=r"c is not recorded from seeds that choose .* are a, b"):
        compare_records(records, "a", "c", choosing=True)
    with pytest.raises(ValueError, match=r"a is not recorded from .* there are none"):
        compare_records([], "a", "c", choosing=True)
