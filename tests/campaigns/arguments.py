"""Call every command with one bad argument each, and count what becomes of it.

    PYTHONPATH=.:tests python -m campaigns.arguments [command ...]

Prints a row per kind of argument and every call that ran, ended in a traceback, said no clear line,
or left something behind. Its status is 1 if there is any.
"""

import argparse
import contextlib
import importlib
import io
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config, write_data

from campaigns.configs import quick_and_quiet
from campaigns.outcomes import Outcome, Wanted, print_table
from tbd.engine import train
from tbd_command import COMMANDS, main

_GOOD = {
    "new": "{new} --data {data} --student {plain} --teacher {plain}",
    "train": "{config} --work-dir {new}",
    "test": "{config} {checkpoint} --work-dir {new}",
    "export": "{config} {checkpoint} --out-dir {new}",
    "predict": "{student} {image} --out-dir {new}",
    "run": "{script}",
    "compare": "{config} --work-dir {new}",
    "search": "{config} --keys model.distill.hd.loss_weight --work-dir {new}",
    "analyze": "{config} {checkpoint} --out-dir {new}",
    "pairs": "{config}",
    "gap": "{root}",
    "gradients": "{root}",
    "check-data": "{config}",
    "benchmark": "{config}",
}
"""Arguments of each command that are right, but for what they would cost."""

_KINDS = {
    "new": dict(
        folder="new folder",
        data="data folder",
        student="config",
        teacher="config",
        pair="config",
        teacher_ckpt="checkpoint",
        val_share="share",
        seed="seed",
    ),
    "train": dict(
        config="config",
        work_dir="output folder",
        resume="checkpoint",
        progress_file="output file",
        gradient_file="output file",
        cfg_options="options",
        launcher="choice",
    ),
    "test": dict(
        config="config",
        checkpoint="checkpoint",
        work_dir="output folder",
        out="output file",
        show_dir="output folder",
        wait_time="time",
        cfg_options="options",
        launcher="choice",
    ),
    "export": dict(
        config="config",
        checkpoint="checkpoint",
        out_dir="output folder",
        name="file name",
        format="choice",
        cfg_options="options",
        input_size="pixels",
        opset="positive",
        images="positive",
    ),
    "predict": dict(
        model="checkpoint",
        images="image",
        config="config",
        out_dir="output folder",
        score_thr="score",
        cfg_options="options",
    ),
    "run": dict(script="script"),
    "compare": dict(
        configs="config",
        terms="choice",
        pair="config",
        teacher="config",
        teacher_seed="seed",
        baseline="config",
        seeds="seed",
        work_dir="output folder",
        cfg_options="options",
        pictures="count",
        jobs="positive",
        test_data="data folder",
    ),
    "search": dict(
        config="config",
        keys="key",
        teacher="config",
        teacher_seed="seed",
        trials="positive",
        step="ratio",
        work_dir="output folder",
        cfg_options="options",
    ),
    "analyze": dict(
        detectors="config",
        names="folder name",
        baseline="name",
        teacher="name",
        data_config="config",
        out_dir="output folder",
        score_thr="score",
        pictures="count",
        norm="choice",
        nms_images="count",
        cfg_options="data options",
    ),
    "gap": dict(folder="data folder", configs="finished run"),
    "gradients": dict(folder="data folder", configs="finished run", batches="positive"),
    "pairs": dict(configs="config", jobs="positive", out="output file"),
    "check-data": dict(
        data="config",
        images="data folder",
        split="choice",
        fix="output folder",
        cfg_options="data options",
    ),
    "benchmark": dict(
        config="config",
        batch_size="positive",
        height="positive",
        width="positive",
        boxes="count",
        rounds="positive",
        clock="choice",
        amp="choice",
        terms="choice",
        precision="choice",
        profile="trace file",
        cfg_options="options",
    ),
}
"""What each argument that takes a value is. One that is not here fails a test."""

_NO_NUMBER = ("x", "", "nan", "inf", "1e400", "٣x")
_NO_COUNT = (*_NO_NUMBER, "-1", "1.5", "9" * 30)
_NO_FILE = ("{root}/none", "", "{root}/none/\udcff.py", "{root}/" + "n" * 300, "{root}/fifo")
_BAD = {
    "config": (
        *(*_NO_FILE, "{root}", "{image}", "{checkpoint}", "{root}/syntax.py", "{root}/raises.py"),
        *("{root}/blank.py", "{root}/cut.json", "{root}/text.txt", "none::a.py", "mmdet::no.py"),
        *(
            "{root}/latin.py",
            "{root}/no_model.py",
            "::",
            "{root}/list.json",
            "{root}/sub/../gone.py",
        ),
    ),
    "checkpoint": (
        *(*_NO_FILE, "{root}", "{image}", "{config}", "{root}/empty.pth", "{root}/cut.pth"),
        *("{root}/list.pth", "{root}/none.pth", "{root}/other.pth", "{root}/code.pth"),
        *("ftp://127.0.0.1/a.pth", "http://127.0.0.1:1/a.pth", "{root}/empty_state.pth"),
    ),
    "image": (*_NO_FILE, "{config}", "{root}/empty.png", "{root}/cut.png", "{root}/hollow"),
    "script": (*_NO_FILE, "{root}", "none::a.py", "mmdet::none.py", "::"),
    "data folder": (*_NO_FILE, "{image}", "{root}/hollow", "{root}/cut.json", "{root}/list.json"),
    "output folder": ("", "{image}", "{image}/sub", "/sys/none", "{root}/" + "n" * 300),
    "new folder": ("", "{image}", "{image}/sub", "/sys/none", "{root}/" + "n" * 300, "{root}"),
    "output file": ("", "{root}", "{image}/sub.json", "/sys/none.json", "{root}/" + "n" * 300),
    "trace file": ("{root}", "{image}/sub.json", "/sys/none.json", "{root}/" + "n" * 300),
    "folder name": ("", "a/b", "..", "n" * 300, "\udcff"),
    "name": ("nothing", "", "3", "\udcff"),
    "data options": ("x", "=1", "", "a.b.c", "x=[1,2", "x=1,)"),
    "file name": ("", "a/b", "..", "n" * 300, "/sys/none"),
    "options": ("x", "=1", "", "a.b.c", "x=[1,2", "model=3", "model.student=1"),
    "choice": ("nothing", "", "3", "\udcff"),
    # Without finished runs, which take a while, their folder is refused before.
    "finished run": (),
    "key": ("", "none", "model", "model.distill", "model.distill.hd.loss_wait", "a..b"),
    "share": (*_NO_NUMBER, "-0.1", "1", "1.5", "0"),
    "score": (*_NO_NUMBER, "-0.1", "1.5"),
    "time": (*_NO_NUMBER, "-1"),
    "ratio": (*_NO_NUMBER, "-1", "0", "1"),
    "seed": (*_NO_COUNT, str(2**32)),
    "count": _NO_COUNT,
    "positive": (*_NO_COUNT, "0"),
    "pixels": (*_NO_COUNT, "0"),
}


@dataclass(frozen=True)
class Call:
    """A command with one bad argument."""

    command: str
    dest: str
    option: str | None
    value: str

    @property
    def family(self) -> str:
        return _KINDS[self.command][self.dest]

    def __str__(self) -> str:
        return f"tbd {self.command} {self.option or self.dest.upper()} {self.value[:60]!r}"


def actions(command: str) -> list[argparse.Action]:
    """Arguments of a command that take a value."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"tbd.cli.{command.replace('-', '_')}").add_arguments(parser)
    return [a for a in parser._actions if a.nargs != 0 and a.help != argparse.SUPPRESS]


def calls(commands: Iterable[str] = COMMANDS) -> Iterator[Call]:
    """Every bad value of every argument."""
    for command in commands:
        for action in actions(command):
            if action.nargs == argparse.REMAINDER:
                continue
            option = action.option_strings[-1] if action.option_strings else None
            for value in _BAD[_KINDS[command][action.dest]]:
                yield Call(command, action.dest, option, value)


def write_files(root: Path) -> dict[str, str]:
    """Write what right arguments name, and what wrong ones do."""
    write_data(root / "data", images=4)
    names = dict(
        root=root, new=root / "new", data=root / "data", image=root / "data" / "images" / "0.png"
    )
    content = config_dict(root / "data", wrapper(), epochs=1)
    content["model"]["distill"]["hd"]["loss_weight"] = 1.0
    names["config"] = write_config(root / "run.py", content)
    names["plain"] = write_config(root / "plain.py", content | dict(model=retinanet()))
    train(str(names["config"]), str(root / "work"))
    names["checkpoint"], names["student"] = root / "work/epoch_1.pth", root / "work/student.pth"
    names["script"] = root / "script.py"
    (root / "script.py").write_text("pass\n")
    (root / "syntax.py").write_text("model = dict(\n")
    (root / "raises.py").write_text("model = 1 / 0\n")
    (root / "latin.py").write_bytes("model = dict(type='Größe')\n".encode("latin-1"))
    (root / "no_model.py").write_text("a = 1\n")
    (root / "cut.json").write_text('{"images": [')
    (root / "list.json").write_text("[1, 2]")
    (root / "text.txt").write_text("model = 1\n")
    for name in ("blank.py", "empty.pth", "empty.png"):
        (root / name).touch()
    (root / "cut.pth").write_bytes(Path(names["checkpoint"]).read_bytes()[:5000])
    (root / "cut.png").write_bytes(Path(names["image"]).read_bytes()[:500])
    torch.save([1], root / "list.pth")
    torch.save(dict(state_dict=dict(a=torch.zeros(3))), root / "other.pth")
    torch.save(dict(state_dict={}), root / "empty_state.pth")
    (root / "code.pth").write_bytes(pickle.dumps(print))
    (root / "hollow").mkdir()
    os.mkfifo(root / "fifo")
    return {key: str(value) for key, value in names.items()}


def arguments(call: Call, names: dict[str, str]) -> list[str]:
    """The whole command line."""
    value = call.value.format_map(names)
    line = [word.format_map(names) for word in _GOOD[call.command].split()]
    many = dict(input_size=[value, value], detectors=[value, names["checkpoint"]])
    words = many.get(call.dest, [value])
    if call.option is not None:
        if call.command == "new" and call.option == "--pair":
            line = line[:3]
        if call.option in line:
            index = line.index(call.option)
            del line[index : index + 1 + len(words)]
        # One word, so that no value is taken for an option.
        given = [f"{call.option}={words[0]}"] if len(words) == 1 else [call.option, *words]
        if call.dest in ("opset", "images", "input_size") and call.command == "export":
            given += ["--format", "onnx"]
        return [call.command, *line, *given]
    places = dict(config=0, data=0, detectors=0, model=0, folder=0, script=0, configs=0)
    index = places.get(call.dest, 1)
    line[index : index + len(words)] = words
    return [call.command, *line]


def attack(call: Call, names: dict[str, str]) -> Outcome:
    """Call a command in this process."""
    for kind in (MMLogger, MessageHub, Visualizer, DetLocalVisualizer):
        kind._instance_dict.clear()
    root = Path(names["root"])
    before = _listing(root)
    printed, said = io.StringIO(), io.StringIO()
    value = call.value.format_map(names)
    environment = dict(os.environ)
    try:
        with (
            quick_and_quiet(),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(printed),
        ):
            main(arguments(call, names))
        verdict, message = "silent", ""
    except SystemExit as error:
        text = said.getvalue().strip()
        lines = text.splitlines()
        start = [
            index for index, line in enumerate(lines) if f"tbd {call.command}: error: " in line
        ]
        message = "\n".join(lines[start[0] :]) if start else text
        verdict = "refused" if error.code in (1, 2) and start else "bare"
    except BaseException as error:
        verdict, message = "bare", f"{type(error).__name__}: {error}"
    os.environ.clear()
    os.environ.update(environment)
    if left := sorted(_listing(root) - before):
        if verdict != "silent":
            verdict, message = "silent", f"left {left[:3]} behind; {message}"
        for name in left:
            (root / name).unlink(missing_ok=True)
    shutil.rmtree(names["new"], ignore_errors=True)
    if verdict == "refused":
        shown = (repr(value)[1:41], value[:40], os.path.abspath(value)[:60]) if value else ("''",)
        lacks = Wanted().lacks(message)
        shown += _names(call, value) if call.family == "options" else ()
        if not any(text in message for text in shown):
            lacks += ("value",)
        if call.option and not any(name in message for name in _names(call, value)):
            lacks += ("key",)
        return Outcome(call.family, str(call), "unhelpful" if lacks else verdict, message, lacks)
    return Outcome(call.family, str(call), verdict, message)


def _names(call: Call, value: str) -> tuple[str, ...]:
    """What tells which argument a message is about; a path says it itself."""
    option = str(call.option)
    own = (option, f"{call.dest}=", option[2:])
    if call.family == "options":
        key = value.partition("=")[0]
        return (*own, value, key, key.rpartition(".")[2])
    return (*own, value, os.path.abspath(value)) if "/" in value else own


def _listing(root: Path) -> set[str]:
    """Files but logs and the copies of configs beside them, which say what went wrong."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not path.is_dir()
        and path.suffix != ".log"
        and path.parent.name != "vis_data"
        and path not in (root / "new" / "run.py", root / "new" / "test_run.py")
        and "__pycache__" not in path.parts
    }


def campaign(chosen: Iterable[Call], names: dict[str, str]) -> Iterator[Outcome]:
    """Make each of the calls."""
    for call in chosen:
        yield attack(call, names)


def main_campaign() -> int:
    """Run the campaign and print its table."""
    with tempfile.TemporaryDirectory() as name:
        folder, empty = Path(name, "files"), Path(name, "empty")
        folder.mkdir()
        empty.mkdir()
        with quick_and_quiet():
            names = write_files(folder)
        os.chdir(empty)
        outcomes = list(campaign(calls(sys.argv[1:] or COMMANDS), names))
        os.chdir("/")
        return bool(print_table(outcomes))


if __name__ == "__main__":
    sys.exit(main_campaign())
