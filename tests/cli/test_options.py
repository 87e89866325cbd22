import pytest
from parsed import without_files

from tbd.cli import run_command, values
from tbd.engine.config_options import parse_options


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
def test_numbers_out_of_range_are_refused(capsys, monkeypatch, command, arguments, message):
    without_files(monkeypatch)
    with pytest.raises(SystemExit, match="2"):
        run_command(command, arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[red cell, white cell]", ["red cell", "white cell"]),
        ("red cell's,b", ["red cell's", "b"]),
        ("['a, b',c]", ["a, b", "c"]),
        ("'/data/a, b'", "/data/a, b"),
        ("(new) data/x", "(new) data/x"),
        ("data(1)", "data(1)"),
        ("[(1, 2),(3,[None,x y])]", [(1, 2), (3, [None, "x y"])]),
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ("1,", [1]),
        ("()", ()),
        ("[]", []),
    ],
)
def test_values_keep_their_spaces_in_lists_too(text, value):
    found = parse_options([f"a={text}"])["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dict(a=1,b=2)", r"of a dict set each key by itself, a\.b\.NAME=VALUE"),
        ("{'a': 1}", "of a dict set each key by itself"),
        ("[1,2", "must close as many brackets and quotes as it opens"),
        ("['a,b]", "must close as many brackets and quotes as it opens"),
    ],
)
def test_values_that_are_no_values_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_options([f"a.b={text}"])


def test_options_of_the_config_add_up(monkeypatch):
    without_files(monkeypatch)
    seen = []
    monkeypatch.setattr("tbd.cli.train.run", seen.append)
    run_command("train", ["run.py", "--cfg-options", "a=1", "b=x", "--cfg-options", "c.d=2"])
    assert seen[0].cfg_options == {"a": 1, "b": "x", "c.d": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--work-dir", "a", "--work-dir", "b"], "--work-dir: 'a' and 'b' are given; give it once"),
        (["--cfg-options", "a=1", "a=2"], "'a' is set twice, at last by 'a=2'; set it once"),
        (["--cfg-options", "a=1", "--cfg-options", "a=1"], "'a' is set twice"),
    ],
)
def test_what_is_given_twice_is_refused(capsys, monkeypatch, arguments, message):
    without_files(monkeypatch)
    with pytest.raises(SystemExit, match="2"):
        run_command("train", ["run.py", *arguments])
    assert message in capsys.readouterr().err


def test_looking_whether_a_place_can_be_written_leaves_no_trace(tmp_path):
    for check in (values.output_folder, values.output_file(".json")):
        place = str(tmp_path / "a" / "b.json")
        assert check(place) == place
    assert not list(tmp_path.iterdir())
