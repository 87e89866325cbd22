import pytest

from tbd.studies.comparison.gains import draw_gains, sorted_gains
from tbd.studies.comparison.report import RunResult

RUNS = [
    RunResult(name, seed, {"ap": ap})
    for name, aps in (
        ("teacher", [50.0]),
        ("plain", [30.0, 28.0]),
        ("hd", [31.0, 29.0]),
        ("tbd", [33.0, 33.0]),
    )
    for seed, ap in enumerate(aps)
]
RUNS += [RunResult("alone", 2, {"ap": 40.0})]


def test_the_best_gain_comes_first():
    gains = sorted_gains(RUNS, "plain")
    assert [gain.name for gain in gains] == ["teacher", "tbd", "hd"]
    assert (gains[1].values, gains[1].mean) == ([3.0, 5.0], 4.0)
    # Student's t with one degree of freedom is 12.706 at 97.5 %.
    assert gains[1].half_width == pytest.approx(12.706, abs=1e-3)
    assert gains[0].half_width is None


def test_the_figure_leaves_out_the_teacher(tmp_path):
    path = tmp_path / "gains.svg"
    assert draw_gains(RUNS, "plain", "teacher", path)
    text = path.read_text()
    assert text.index("tbd") < text.index(">hd<")
    assert "teacher" not in text
    assert not draw_gains(RUNS[:3], "plain", "teacher", tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
