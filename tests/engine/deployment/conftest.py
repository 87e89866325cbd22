"""Tests that need the extra tbd[onnx]."""

from importlib.util import find_spec

needed = ("onnx", "onnxruntime")
collect_ignore_glob = [] if all(find_spec(name) for name in needed) else ["test_*.py"]
