"""Commands of the documentation: options that exist, files that are there."""

import ast
import glob
import re
import runpy
import shlex
import sys
from importlib import import_module

import pytest
from documents import PAGES, ROOT, blocks, commands, files_of, prose
from parsed import without_files

from tbd.cli import run_command
from tbd_command import COMMANDS

FOLDERS = ("configs/", "examples/", "tools/", "docs/", "tests/", "tbd/")
_OPTIONAL = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
EXTRAS = re.findall(r"^(\w+) = \[", _OPTIONAL.partition("\n[")[0], re.MULTILINE)


def parse(subcommand: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a subcommand read its arguments and do nothing."""
    monkeypatch.setattr(
        import_module(f"tbd.cli.{subcommand.replace('-', '_')}"), "run", lambda args: None
    )
    without_files(monkeypatch)
    run_command(subcommand, arguments, prog=f"tbd {subcommand}")


def check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check one command, by what it starts."""
    match words:
        case ["tbd", subcommand, *arguments]:
            parse(subcommand, arguments, monkeypatch)
        case ["python", tool, *arguments] if tool.startswith("tools/"):
            called = re.search(r"run_command\(\"(\w+)\"\)", (ROOT / tool).read_text())
            if called:
                parse(called[1], arguments, monkeypatch)
            else:
                module = runpy.run_path(str(ROOT / tool))
                monkeypatch.setattr(sys, "argv", [tool, *arguments])
                module["parse_args"]()
        case ["python", example, *_] if example.startswith("examples/"):
            assert (ROOT / example).is_file()
        case ["python", "-c", program]:
            exec(program, {})
        case ["bash", "tools/dist_train.sh" | "tools/dist_test.sh" as script, *arguments]:
            positional = 1 if "train" in script else 2
            assert arguments[positional].isdigit()
            rest = arguments[:positional] + arguments[positional + 1 :]
            parse("train" if "train" in script else "test", rest, monkeypatch)
        case ["bash", "tools/demo.sh"] | ["bash", "tools/setup.sh", *_]:
            pass
        case ["bash", "tools/check.sh", *arguments]:
            assert set(arguments) <= {"--fast"}
        case [".venv/bin/python", "-m", "pytest", *_] | ["curl", "-LO", _]:
            pass
        case ["pip", "install" | "uninstall", *arguments]:
            extras = re.findall(r"\[(.*)\]", " ".join(arguments))
            assert set(",".join(extras).split(",")) <= {"", *EXTRAS}
            if "-c" in arguments:
                assert (ROOT / arguments[arguments.index("-c") + 1]).is_file()
        case _:
            pytest.fail(f"nothing is known of the command {words[0]!r}; teach it to this test")


@pytest.mark.parametrize(("name", "summary"), COMMANDS.items())
def test_every_subcommand_is_in_the_table_with_its_script(name, summary):
    rows = (ROOT / "docs" / "command.md").read_text().splitlines()
    (row,) = (row for row in rows if row.startswith(f"| `tbd {name}` |"))
    assert row.endswith(f"| {summary} |")
    doors = [path.name for path in ROOT.glob("tools/*.py") if f'("{name}")' in path.read_text()]
    assert all(f"`tools/{door}`" in row for door in doors)


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_commands_are_accepted(block, monkeypatch):
    for words in commands(block):
        try:
            check(words, monkeypatch)
        except SystemExit as refused:
            pytest.fail(f"{shlex.join(words)} is refused: {refused}")


def alternatives(path: str) -> list[str]:
    """The paths that braces stand for, as in a shell: ``a{b,c}`` is ``ab`` and ``ac``."""
    before, _, rest = path.partition("{")
    names, closed, after = rest.partition("}")
    return [before + name + after for name in names.split(",")] if closed else [path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    name = str(page.relative_to(ROOT))
    in_commands = [
        word
        for block in blocks("bash")
        if block.page == name
        for words in commands(block)
        for option, word in zip(["", *words], words, strict=False)
        if option not in ("--out", "--out-dir", "--work-dir")
    ]
    in_prose = re.findall(r"`([^`\n]+)`", prose(page))
    for word in in_commands + in_prose:
        path, _, test = word.partition("::")
        if not path.startswith(FOLDERS) or re.search(r"[<> …]", path) or path in files_of(name):
            continue
        for alternative in alternatives(path):
            assert glob.glob(str(ROOT / alternative)), f"{name} names {alternative}, which is not"
        if test:
            tree = ast.parse((ROOT / path).read_text())
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert test in functions, f"{name} names the test {test}, which {path} does not have"
