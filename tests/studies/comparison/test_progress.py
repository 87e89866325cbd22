import io
import json

import pytest

from tbd.studies.comparison import progress as module
from tbd.studies.comparison.progress import Progress, Stage, duration, read_progress

FIRST, SECOND = Stage("[1/2] plain", "step 3 of 9"), Stage("[2/2] tbd", "starting")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def screen(written):
    """What a terminal shows in the end: each line after its last erasure."""
    return [line.rpartition("\x1b[K")[2] for line in written.split("\n")]


def test_a_terminal_shows_one_line_that_changes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    progress = Progress(terminal)
    progress.say("two runs")
    for step in range(4):
        progress.show([Stage("[1/2] plain", f"step {step} of 9"), SECOND])
    assert screen(terminal.getvalue()) == [
        "two runs",
        "[1/2] plain: step 3 of 9 | [2/2] tbd: starting",
    ]
    # Nothing new, nothing written; a line that is too long does not break.
    length = len(terminal.getvalue())
    progress.show([FIRST, SECOND])
    assert len(terminal.getvalue()) == length
    progress.show([FIRST, FIRST, SECOND])
    assert len(screen(terminal.getvalue())[-1]) == 49
    progress.say("done")
    assert screen(terminal.getvalue()) == ["two runs", "done", ""]


def test_a_file_gets_a_line_now_and_then(clock):
    file = io.StringIO()
    progress = Progress(file, interval=30)
    for second in range(100):
        clock.now = second
        progress.show([FIRST, SECOND])
    lines = file.getvalue().splitlines()
    assert lines == ["[1/2] plain: step 3 of 9", "[2/2] tbd: starting"] * 3
    assert "\x1b" not in file.getvalue()


def test_a_quiet_one_only_says(clock):
    file = io.StringIO()
    progress = Progress(file, interval=0, quiet=True)
    progress.show([FIRST])
    progress.say("done")
    assert file.getvalue() == "done\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "step 12 of 640, loss 1.23, 2 min 05 s left"),
        ({"phase": "validating"}, "step 12 of 640, validating, 2 min 05 s left"),
        ({"loss": None, "seconds_left": None}, "step 12 of 640"),
    ],
)
def test_a_progress_file_is_described(tmp_path, content, text):
    written = dict(phase="training", step=12, steps=640, loss=1.234, seconds_left=124.2) | content
    path = tmp_path / "progress.json"
    path.write_text(json.dumps(written))
    assert read_progress(path) == text


@pytest.mark.parametrize("content", [None, "", '{"step": 1', '{"step": 1}'])
def test_half_a_progress_file_is_none(tmp_path, content):
    path = tmp_path / "progress.json"
    if content is not None:
        path.write_text(content)
    assert read_progress(path) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (44.2, "45 s"),
        (125, "2 min 05 s"),
        (3599.5, "1 h 00 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
