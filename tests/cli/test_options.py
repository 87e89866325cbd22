import pytest

from tbd.cli import run_command


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("benchmark", ["run.py", "--rounds", "0"], "'0' must be a whole number of 1 or more"),
        ("benchmark", ["run.py", "--height", "-5"], "'-5' must be a whole number of 1 or more"),
        ("pairs", ["run.py", "--jobs", "1.5"], "--jobs: '1.5' must be a whole number"),
        ("predict", ["a.onnx", "b.png", "--score-thr", "nan"], "'nan' must be a number from 0 to"),
        (
            "analyze",
            ["a.py", "b.pth", "--score-thr", "2"],
            "--score-thr: '2' must be a number from",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(capsys, command, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        run_command(command, arguments)
    assert message in capsys.readouterr().err
