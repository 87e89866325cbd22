"""What every subcommand promises; what it does is tested beside the code that it calls."""

import argparse
import re
import subprocess
import sys

import pytest
from parsed import without_files
from tiny_run import ROOT, process_environment

import tbd
from tbd.cli import run_command
from tbd.cli.options import add_cfg_options
from tbd_command import COMMANDS, TRACEBACK_VARIABLE, main

TOOLS = {
    "train": "train.py",
    "test": "test.py",
    "export": "export_student.py",
    "predict": "predict.py",
    "compare": "compare.py",
    "search": "search_weights.py",
    "analyze": "analyze_harmony.py",
    "gap": "gap.py",
    "gradients": "gradients.py",
    "pairs": "pair_matrix.py",
    "check-data": "check_data.py",
    "benchmark": "benchmark_step.py",
}


def printed_help(*arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 0
    return capsys.readouterr().out


def test_help_lists_each_command_on_one_line(capsys):
    text = printed_help("--help", capsys=capsys)
    for name, summary in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)
    assert text == printed_help(capsys=capsys)


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_fits_a_screen_and_has_an_example(name, capsys):
    text = printed_help(*([name] if name else []), "--help", capsys=capsys)
    lines = text.splitlines()
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 100
    examples = text.partition("example:\n")[2]
    assert examples.startswith(f"  tbd {name or 'train'} ")


def test_pairs_asks_for_the_place_of_its_tables_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tbd.cli.pairs.try_pairs", None)
    with pytest.raises(SystemExit):
        main(["pairs", "--out", str(tmp_path / "none.md")])
    assert "none.md does not exist: the tables go into a document" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_of_the_help_is_accepted(name, capsys, monkeypatch):
    text = printed_help(name, "--help", capsys=capsys)
    example = text.partition("example:\n")[2].replace("\\\n", " ").split()
    parsed = []
    without_files(monkeypatch)
    monkeypatch.setattr(f"tbd.cli.{name.replace('-', '_')}.run", parsed.append)
    main(example[1:])
    assert len(parsed) == 1


def test_help_and_version_do_not_wait_for_mmdetection():
    code = (
        "import sys, tbd_command\n"
        "try: tbd_command.main(sys.argv[1:])\n"
        "finally: assert not {'tbd', 'mmengine', 'torch'} & set(sys.modules)"
    )
    for arguments in (["--help"], ["--version"]):
        run = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=process_environment(),
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout


def test_every_command_that_mmdetection_has_a_tool_like_has_one():
    assert TOOLS.keys() == COMMANDS.keys() - {"run", "new"}


@pytest.mark.parametrize("name", TOOLS)
def test_the_tool_is_a_door_to_the_command(name):
    statements = (ROOT / "tools" / TOOLS[name]).read_text().partition('"""\n\n')[2]
    assert statements == (
        "from tbd.cli import run_command\n\n"
        f'if __name__ == "__main__":\n    run_command("{name}")\n'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["train"],
        ["train", "config.py", "--no-such-option"],
        ["train", "config.py", "--launcher", "ssh"],
        ["train", "config.py", "--cfg-options", "data_root"],
        ["compare", "config.py", "--cfg-options", "=1"],
        ["train", "no/such/config.py"],
        ["train", __file__, "--work-dir", "a", "--work-dir", "b"],
        ["train", __file__, "--cfg-options", "a=1", "--cfg-options", "a=2"],
        ["train", "tbd::no_such_config.py"],
        ["analyze", "config.py"],
        ["analyze", "a.py", "a.pth", "--names", "a", "b"],
    ],
)
def test_what_the_user_got_wrong_is_said_in_the_last_line(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert re.match(r"tbd( train| compare| analyze)?: error: ", error.splitlines()[-1])
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("data/Meine Zellen ß/a (1).pth", "data/Meine Zellen ß/a (1).pth"),
        ("'quoted text'", "quoted text"),
        ("None", None),
        ("0.5", 0.5),
        ("true", True),
        ("1,2", [1, 2]),
        ("[a, (1, 2)]", ["a", (1, 2)]),
    ],
)
def test_values_of_the_config_are_as_mmengine_reads_them_but_keep_their_spaces(text, value):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    assert parser.parse_args(["--cfg-options", f"a.b={text}"]).cfg_options == {"a.b": value}


def test_an_interruption_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    without_files(monkeypatch)
    monkeypatch.setattr("tbd.cli.train.run", interrupted)
    with pytest.raises(SystemExit) as error:
        main(["train", "some_config.py"])
    assert error.value.code == 130
    assert capsys.readouterr().err == "tbd train: interrupted\n"
    with pytest.raises(KeyboardInterrupt):
        main(["train", "some_config.py", "--traceback"])


def test_an_interruption_while_a_command_is_imported_has_no_traceback_either(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("tbd.cli.command.importlib.import_module", interrupted)
    with pytest.raises(SystemExit) as error:
        main(["train", "some_config.py"])
    assert (error.value.code, capsys.readouterr().err) == (130, "tbd: interrupted\n")


def test_the_traceback_comes_back_on_demand(monkeypatch, capsys):
    without_files(monkeypatch)
    with pytest.raises(FileNotFoundError, match=r"no/such/config\.py"):
        main(["train", "no/such/config.py", "--traceback"])
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    with pytest.raises(FileNotFoundError):
        main(["train", "no/such/config.py"])
    monkeypatch.setenv(TRACEBACK_VARIABLE, "0")
    with pytest.raises(SystemExit):
        main(["train", "no/such/config.py"])


def test_an_error_that_nobody_foresaw_keeps_its_traceback(monkeypatch):
    # The same type as the errors of tbd, but from elsewhere.
    without_files(monkeypatch)
    monkeypatch.setattr("tbd.cli.train.train", lambda *args, **kwargs: int("one"))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["train", "config.py"])


@pytest.mark.parametrize("traceback", [False, True])
def test_a_missing_mmdetection_is_explained(traceback):
    code = (
        "import sys, tbd_command\n"
        "from importlib import util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'mmdet' else find(name, *more)\n"
        "tbd_command.main(['train', 'config.py'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=process_environment(**{TRACEBACK_VARIABLE: str(int(traceback))}),
        capture_output=True,
        text=True,
    )
    assert run.returncode == (1 if traceback else 2)
    assert ("Traceback" in run.stderr) == traceback
    assert "tbd needs MMDetection, but cannot find mmdet. Install the rest:" in run.stderr


def test_a_tool_names_itself_in_messages(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tools/train.py"])
    with pytest.raises(SystemExit):
        run_command("train")
    assert capsys.readouterr().err.startswith("usage: train.py CONFIG [options]\n")


@pytest.mark.slow
def test_the_package_can_be_run():
    run = subprocess.run(
        [sys.executable, "-m", "tbd", "train", "no/such/config.py"],
        env=process_environment(),
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "tbd train: error: argument CONFIG: there is no config file at /no/such/config.py; "
        "give another."
    )


def test_the_version_is_that_of_the_package(capsys):
    assert printed_help("--version", capsys=capsys) == f"tbd {tbd.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json"], "argument CONFIG_OR_JSON: there is no file or folder 'none.json' in"),
        (["."], "is a folder; give a config, or one .json file"),
        ([__file__, "--images", "nowhere"], "--images: there is no file or folder 'nowhere' in"),
    ],
)
def test_check_data_says_what_it_is_not_given(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        main(["check-data", *arguments])
    assert error.value.code == 2
    assert message in capsys.readouterr().err
