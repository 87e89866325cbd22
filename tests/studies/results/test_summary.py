from dataclasses import replace

from recorded import record
from scipy import stats

from tbd.studies.results.summary import format_summary

PLAIN = [46.0, 47.0, 45.5]
TBD = [49.0, 48.1, 49.5]
CWD = [48.0, 49.2, 49.1]


def distilled(method, aps, first=0):
    return [
        record(f"{method}_cells", seed, ap, baseline="plain", teacher="big")
        for seed, ap in enumerate(aps, first)
    ]


def cells(records):
    _, _, *lines = format_summary({"cells": records}).splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def runs():
    return [
        record("big", 0, 57.0),
        *(record("plain", seed, ap) for seed, ap in enumerate(PLAIN)),
        *distilled("tbd", TBD),
        *distilled("cwd", CWD),
    ]


def interval(ours, others):
    low, high = stats.ttest_rel(ours, others).confidence_interval(0.95)
    mean = sum(ours) / len(ours) - sum(others) / len(others)
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def test_tbd_is_held_against_the_best_of_the_others_seed_by_seed():
    (line,) = cells([*runs(), *distilled("hd", [45.0, 46.0, 47.0])])
    assert line[:5] == ["`cells`", "`plain`", "3", "57.0", "46.2"]
    assert line[5] == interval(TBD, PLAIN)
    assert line[7:10] == ["cwd", interval(CWD, PLAIN), interval(TBD, CWD)]
    assert line[10] == "tbd +2.7"


def test_a_method_that_lacks_a_seed_of_tbds_is_not_held_against_it():
    (line,) = cells([*runs(), *distilled("bckd", [80.0, 80.0])])
    assert line[7] == "cwd"
    (line,) = cells([*runs(), *distilled("bckd", [80.0, 80.0, 80.0, 0.0])])
    # What it did on seeds that TBD has not, counts neither for it nor against it.
    assert (line[7], line[10]) == ("bckd", "bckd +33.8")


def test_what_holds_terms_of_tbd_is_no_other_method_but_may_be_the_best_row():
    best = [60.0, 60.0, 60.0]
    for method in ("tbd-auto", "tbd+cwd", "cwd+tbd", "tbd-hd.norm=peak", "tfd", "hd-norm=peak"):
        (line,) = cells([*runs(), *distilled(method, best)])
        assert (line[7], line[10]) == ("cwd", f"{method} +13.8")


def test_choosing_seeds_and_pairs_without_tbd_have_no_line():
    choosing = [
        record("plain", 100, 10.0),
        record("tbd_x", 100, 90.0, baseline="plain", teacher="b"),
    ]
    assert cells(choosing) == []
    assert cells([record("plain", 0, 40.0), *distilled("cwd", [41.0])]) == []


def test_tbd_alone_has_a_line():
    (line,) = cells([record("plain", 0, 40.0), *distilled("tbd", [41.0])])
    assert line[2:] == ["1", "–", "40.0", "+1.0", "–", "–", "–", "–", "tbd +1.0"]


def test_each_detector_of_a_pair_has_a_line_with_the_methods_that_distilled_it():
    wide = [
        record(f"{method}_cells-wide", 0, ap, baseline="plain", teacher="big")
        for method, ap in (("tbd", 27.0), ("qad", 26.0))
    ]
    narrow, other = cells([*runs(), *wide])
    assert (narrow[0], narrow[5], narrow[7]) == ("`cells` cells", interval(TBD, PLAIN), "cwd")
    assert (other[0], other[5], other[7]) == ("`cells` cells-wide", "-19.0", "qad")


def test_methods_that_differ_in_an_option_alone_are_two():
    options = ("tfd:task_weights=[1.0,0.0]", "tfd:task_weights=[0.0,1.0]")
    best = [
        replace(distilled("tbd", [ap])[0], terms=terms, seed=seed)
        for seed in range(3)
        for terms, ap in zip(options, (60.0, 40.0), strict=True)
    ]
    (line,) = cells([*runs(), *best])
    assert (line[7], line[10]) == ("cwd", "tfd-task_weights=[1.0,0.0] +13.8")
