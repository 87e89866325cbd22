import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmdet.datasets import BaseDetDataset
from mmengine.fileio import dump, load

pytestmark = pytest.mark.openmmlab


class Payload:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "payload",
    [Payload(os.mkdir, "executed"), Payload(eval, "__import__('os').mkdir('executed')")],
)
def test_no_code_runs(tmp_path, monkeypatch, payload, protocol):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "annotations.pkl").write_bytes(pickle.dumps([1, payload], protocol))
    with pytest.raises(
        ValueError, match=r"it would run (posix|builtins|__builtin__)\.\w+\. .*JSON"
    ):
        load("annotations.pkl")
    assert not os.path.exists("executed")


def test_a_payload_inside_a_tensor_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = pickle.dumps(Payload(os.mkdir, "executed"))
    outer = pickle.dumps(Payload(torch.storage._load_from_bytes, inner))
    (tmp_path / "results.pkl").write_bytes(outer)
    with pytest.raises(pickle.UnpicklingError):
        load("results.pkl")
    assert not os.path.exists("executed")


def test_an_annotation_file_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.pkl").write_bytes(pickle.dumps(Payload(os.mkdir, "executed")))
    with pytest.raises(ValueError, match="it would run"):
        BaseDetDataset(ann_file="all.pkl", pipeline=[])
    assert not os.path.exists("executed")


def test_values_arrays_and_tensors_are_read(tmp_path):
    content = OrderedDict(
        names=["a", ("b", None, True)],
        boxes=np.arange(8, dtype=np.float32).reshape(2, 4),
        score=np.float64(0.5),
        flags={1, 2},
        tensor=torch.arange(6.0).reshape(2, 3)[:, 1:],
    )
    path = str(tmp_path / "results.pkl")
    dump(content, path)
    found = load(path)
    for name in ("names", "score", "flags"):
        assert found[name] == content[name]
    assert np.array_equal(found["boxes"], content["boxes"])
    assert torch.equal(found["tensor"], content["tensor"])
