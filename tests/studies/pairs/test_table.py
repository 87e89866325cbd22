import pytest

from tbd.studies.pairs.table import BEGIN, pair_tables, write_pair_tables
from tbd.studies.pairs.trial import PairTrial, TermTrial


def trial(name, own=(), missing="", **terms):
    named = {f"tbd.{key}Distillation": value for key, value in terms.items()}
    own = tuple(f"tbd.{key}Distillation" for key in own)
    return PairTrial(name, "Small", "Large", own, named, missing, 1.0)


BOTH = TermTrial(losses={"loss": 1.0}, reaches=("backbone", "neck", "bbox_head"))
TRIALS = [
    trial("pair", ("Harmony",), Harmony=BOTH, RoI=TermTrial(refusal="no second stage")),
    trial(
        "skipped", ("Harmony",), "needs a package", Harmony=BOTH, RoI=TermTrial("no second stage")
    ),
    trial("itself", Harmony=TermTrial("no dense head"), RoI=TermTrial(reaches=("roi_head",))),
]


def test_cells_say_what_a_term_reached_or_why_not():
    lines = pair_tables(TRIALS).splitlines()
    assert "| config | student | teacher | Harmony | RoI |" in lines
    assert "| `pair` | Small | Large | **B N H** | – [1] |" in lines
    assert "| `skipped` | Small | Large | not run [2] | – [1] |" in lines
    assert "| `itself` | Small | Large | – [3] | R |" in lines
    assert lines[-3:] == ["1. no second stage", "2. needs a package", "3. no dense head"]


def test_what_lies_between_neck_and_head_is_the_transformer():
    parts = ("bbox_head", "decoder", "encoder", "reference_points_fc", "neck")
    lines = pair_tables([trial("detr", Query=TermTrial(reaches=parts))]).splitlines()
    assert "| `detr` | Small | Large | N T H |" in lines


def test_reasons_that_differ_by_the_detector_alone_are_one():
    reasons = [
        f"needs a head, which the student does not give: {name} has no head (of A). So it is."
        for name in ("This", "That")
    ]
    lines = pair_tables([trial(r, Harmony=TermTrial(refusal=r)) for r in reasons]).splitlines()
    assert lines[-1] == "1. needs a head, which the student does not give: it has no head"
    reasons = [f"needs queries: {name} does not predict from them" for name in ("This", "That")]
    lines = pair_tables([trial(r, Query=TermTrial(refusal=r)) for r in reasons]).splitlines()
    assert lines[-1] == "1. needs queries: it does not predict from them"


def test_the_text_above_the_tables_stays(tmp_path):
    document = tmp_path / "pairs.md"
    document.write_text(f"# By hand\n\n{BEGIN}\n\nold tables\n")
    write_pair_tables(TRIALS, document)
    assert document.read_text() == f"# By hand\n\n{BEGIN}\n\n{pair_tables(TRIALS)}"
    document.write_text("# By hand\n")
    with pytest.raises(ValueError, match="has no line"):
        write_pair_tables(TRIALS, document)
    assert document.read_text() == "# By hand\n"
    with pytest.raises(FileNotFoundError, match=r"none\.md does not exist: the tables go into"):
        write_pair_tables(TRIALS, tmp_path / "none.md")
