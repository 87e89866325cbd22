"""Checkpoints in every format that would make a folder if anything in them were executed."""

import bz2
import collections
import copyreg
import functools
import gzip
import io
import os
import pickle
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

Content = dict[str, Any]


class _Call:
    """Pickles as a call, which unpickling makes."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.call


class _Popen(subprocess.Popen):
    """Pickles as ``Popen.__new__`` with the arguments of a program."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __del__(self, *_: Any) -> None:
        pass

    def __reduce_ex__(self, _: Any) -> Any:
        return subprocess.Popen, (["mkdir", self.marker],)


def _mkdir(marker: str) -> _Call:
    return _Call(os.mkdir, marker)


def _with(content: Content, payload: Any) -> Content:
    return content | {"meta": content["meta"] | {"note": payload}}


def _zip(path: Path, content: Content, marker: str) -> None:
    torch.save(_with(content, _mkdir(marker)), path)


def _legacy(path: Path, content: Content, marker: str) -> None:
    torch.save(_with(content, _mkdir(marker)), path, _use_new_zipfile_serialization=False)


def _tar(path: Path, content: Content, marker: str) -> None:
    """The format of PyTorch 0.1."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(_mkdir(marker), protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _pickle(protocol: int) -> Callable[[Path, Content, str], None]:
    def write(path: Path, content: Content, marker: str) -> None:
        path.write_bytes(pickle.dumps({"meta": _mkdir(marker)}, protocol))

    return write


def _opcodes(code: str) -> Callable[[Path, Content, str], None]:
    """A pickle written by hand, so that it holds the opcodes that Python does not write itself."""

    def write(path: Path, content: Content, marker: str) -> None:
        path.write_bytes(code.format(marker=marker).encode().decode("unicode_escape").encode())

    return write


def _inside_zip(code: str) -> Callable[[Path, Content, str], None]:
    """The same in place of the pickle of a PyTorch archive, whose tensors are whole."""

    def write(path: Path, content: Content, marker: str) -> None:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        data = code.format(marker=marker).encode().decode("unicode_escape").encode("latin1")
        with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, data if name.endswith("/data.pkl") else old.read(name))

    return write


def _value(make: Callable[[str], Any]) -> Callable[[Path, Content, str], None]:
    """An object inside the meta data of a checkpoint that is good otherwise."""

    def write(path: Path, content: Content, marker: str) -> None:
        torch.save(_with(content, make(marker)), path)

    return write


def _nested(marker: str) -> Any:
    """A pickle inside the pickle, in the bytes of a storage."""
    inner = io.BytesIO()
    torch.save(_mkdir(marker), inner, _use_new_zipfile_serialization=False)
    return _Call(torch.storage._load_from_bytes, inner.getvalue())


def _state(marker: str) -> Any:
    """An object whose state, when it is set, is a call."""
    return _Call(functools.partial, print, state=(os.mkdir, (marker,), {}, None))


def _default_factory(marker: str) -> Any:
    return collections.defaultdict(functools.partial(os.mkdir, marker))


def _history(marker: str) -> HistoryBuffer:
    """A type that is allowed, with a function among its statistics that is not."""
    buffer = HistoryBuffer([1.0], [1])
    buffer._statistics_methods = {"mean": functools.partial(os.mkdir, marker)}
    buffer.__dict__["current"] = _mkdir(marker)
    return buffer


def _getattr(marker: str) -> Any:
    """The lookup that MMEngine's checkpoints need, used to get at everything else."""
    return _Call(getattr, _Call(getattr, HistoryBuffer, "__init__"), "__globals__")


def _array(marker: str) -> Any:
    return np.array([_mkdir(marker), None], dtype=object)


def _module(marker: str) -> Any:
    """A whole model in place of its weights."""
    module = torch.nn.Linear(1, 1)
    module.register_forward_hook(functools.partial(os.mkdir, marker))
    return module


def _key(path: Path, content: Content, marker: str) -> None:
    weights = dict(content["state_dict"]) | {"payload": _mkdir(marker)}
    torch.save(content | {"state_dict": weights}, path)


def _torchscript(path: Path, content: Content, marker: str) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            payload = name.endswith(("/data.pkl", "/constants.pkl"))
            new.writestr(name, pickle.dumps(_mkdir(marker), 2) if payload else data)


def _numpy(path: Path, content: Content, marker: str) -> None:
    with path.open("wb") as file:
        np.save(file, _array(marker), allow_pickle=True)


def _compressed(compress: Callable[[bytes], bytes]) -> Callable[[Path, Content, str], None]:
    def write(path: Path, content: Content, marker: str) -> None:
        path.write_bytes(compress(pickle.dumps({"meta": _mkdir(marker)})))

    return write


def _text(*place: str) -> Callable[[Path, Content, str], None]:
    """A config in Python, which MMEngine executes when it resumes or rebuilds a model."""

    def write(path: Path, content: Content, marker: str) -> None:
        text = f"model = __import__('os').mkdir({marker!r})\n"
        changed = {key: dict(value) for key, value in content.items() if isinstance(value, Mapping)}
        target: dict[str, Any] = changed
        for key in place[:-1]:
            target[key] = dict(target.get(key, {}))
            target = target[key]
        target[place[-1]] = text
        torch.save(content | changed, path)

    return write


_GLOBAL = "cos\\nmkdir\\n(S'{marker}'\\ntR."
_INST = "(S'{marker}'\\nios\\nmkdir\\n."
_OBJ = "(cos\\nmkdir\\nS'{marker}'\\no."
_STACK = (
    "\\x80\\x04\\x8c\\x08builtins\\x8c\\x04eval\\x93(S\"__import__('os').mkdir('{marker}')\"\\ntR."
)

PAYLOADS: dict[str, Callable[[Path, Content, str], None]] = {
    "PyTorch archive": _zip,
    "PyTorch before 1.6": _legacy,
    "PyTorch 0.1, tar": _tar,
    **{f"pickle, protocol {number}": _pickle(number) for number in range(6)},
    "opcodes GLOBAL and REDUCE": _opcodes(_GLOBAL),
    "opcode INST": _opcodes(_INST),
    "opcode OBJ": _opcodes(_OBJ),
    "archive with GLOBAL": _inside_zip(_GLOBAL),
    "archive with INST": _inside_zip(_INST),
    "archive with OBJ": _inside_zip(_OBJ),
    "archive with STACK_GLOBAL": _inside_zip(_STACK),
    "eval": _value(lambda marker: _Call(eval, f"__import__('os').mkdir({marker!r})")),
    "exec": _value(lambda marker: _Call(exec, f"import os; os.mkdir({marker!r})")),
    "os.system": _value(lambda marker: _Call(os.system, f"mkdir {marker}")),
    "Popen": _value(_Popen),
    "codecs and importlib": _value(lambda marker: _Call(__import__, "os.path")),
    "state of a partial": _value(_state),
    "default factory": _value(_default_factory),
    "copyreg": _value(lambda marker: _Call(copyreg._reconstructor, object, object, _mkdir(marker))),
    "nested pickle": _value(_nested),
    "history buffer": _value(_history),
    "getattr": _value(_getattr),
    "object array": _value(_array),
    "whole module": _value(_module),
    "key of the weights": _key,
    "TorchScript": _torchscript,
    "NumPy file": _numpy,
    "gzip": _compressed(gzip.compress),
    "bzip2": _compressed(bz2.compress),
    "text meta.config": _text("meta", "config"),
    "text meta.cfg": _text("meta", "cfg"),
    "text runtime_info.cfg": _text("message_hub", "runtime_info", "cfg"),
}
"""How to write each kind of file: ``(path, content of a good checkpoint, folder to make)``."""
