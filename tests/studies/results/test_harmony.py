from recorded import record
from scipy import stats

from tbd.studies.results.harmony import format_harmony

PLAIN = [0.30, 0.32, 0.35]
TBD = [0.29, 0.33, 0.30]


def distilled(method, ap, measured, **more):
    return [
        record(f"{method}_cells", seed, ap, baseline="plain", teacher="big", pearson=value, **more)
        for seed, value in enumerate(measured)
    ]


def runs():
    return [
        record("big", 0, 57.0, pearson=0.5),
        *(record("plain", seed, 40.0, pearson=value) for seed, value in enumerate(PLAIN)),
        *distilled("tbd", 43.0, TBD),
    ]


def cells(records):
    head, _, *lines = format_harmony({"cells": records}).splitlines()
    column = [cell.strip() for cell in head.split("|")].index("Pearson")
    return {
        line.split("|")[2].strip(): [cell.strip() for cell in line.split("|")][column]
        for line in lines
    }


def change(values):
    low, high = stats.ttest_rel(values, PLAIN).confidence_interval(0.95)
    return f"{sum(values) / 3 - sum(PLAIN) / 3:+.3f} [{low:+.3f}, {high:+.3f}]"


def test_students_are_compared_to_the_plain_one_seed_by_seed():
    found = cells(
        [*runs(), *distilled("qad", 45.0, [0.4, 0.41, 0.39]), *distilled("hd", 41.0, TBD)]
    )
    assert found == {
        "teacher": "0.500",
        "plain": "0.323 ± 0.025",
        "tbd": change(TBD),
        "qad": change([0.4, 0.41, 0.39]),
    }


def test_the_best_student_has_all_seeds_of_tbd_and_may_be_tbds_own():
    assert list(cells([*runs(), *distilled("qad", 45.0, [0.4, 0.4])])) == [
        "teacher",
        "plain",
        "tbd",
    ]


def test_pairs_that_were_not_measured_or_not_taught_by_tbd_have_no_line():
    unmeasured = [
        record("plain", 0, 40.0),
        record("tbd_cells", 0, 43.0, baseline="plain", teacher="big"),
    ]
    assert cells(unmeasured) == {}
    assert cells([record("plain", 0, 40.0, pearson=0.3), *distilled("qad", 45.0, [0.4])]) == {}


def test_what_is_measured_on_one_side_alone_is_no_change():
    records = [record("plain", 0, 40.0), *distilled("tbd", 43.0, [0.3])]
    assert cells(records) == {"plain": "–", "tbd": "–"}


def test_each_detector_of_a_pair_has_lines():
    wide = record("tbd_wide", 0, 20.0, baseline="plain", teacher="big", pearson=0.2)
    _, _, *lines = format_harmony({"cells": [*runs(), wide]}).splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:3]] for line in lines] == [
        [title, detector]
        for title in ("`cells` cells", "`cells` wide")
        for detector in ("teacher", "plain", "tbd")
    ]
