"""The campaign of :mod:`campaigns.security`, with each payload and each door once."""

import contextlib
import time

import pytest
import torch
from mmengine.logging import HistoryBuffer

from campaigns.doors import DOORS, Bench
from campaigns.payloads import PAYLOADS
from campaigns.security import attack

pytestmark = [
    pytest.mark.openmmlab,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

# Never a checkpoint to PyTorch, whoever loads them, or acts only where MMEngine executes it.
_NOT_BY_LOADING = {
    "PyTorch 0.1, tar",
    "NumPy file",
    "TorchScript",
    "gzip",
    "bzip2",
    "codecs and importlib",
    "default factory",
    "getattr",
    "state of a partial",
    "whole module",
    "text meta.config",
    "text meta.cfg",
    "text runtime_info.cfg",
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_is_executed(bench, payload):
    assert attack(bench, "mmengine.load_checkpoint", payload) == "refused"


@pytest.mark.parametrize("door", DOORS)
def test_no_door_lets_a_payload_in(bench, door):
    assert attack(bench, door, "PyTorch archive") == "refused"


@pytest.mark.parametrize("payload", sorted(PAYLOADS.keys() - _NOT_BY_LOADING))
def test_the_payloads_would_be_executed(tmp_path, payload, monkeypatch):
    # Loading a history adds to the statistics of all histories.
    kept = dict(HistoryBuffer._statistics_methods)
    monkeypatch.setattr(HistoryBuffer, "_statistics_methods", kept)
    file, marker = tmp_path / "payload.pth", tmp_path / "executed"
    content = dict(state_dict=dict(weight=torch.ones(2)), meta={}, message_hub={}, optimizer={})
    PAYLOADS[payload](file, content, str(marker))
    with contextlib.suppress(Exception):
        torch.load(file, weights_only=False)
    # A process that was started has its own time.
    for _ in range(100):
        if marker.exists():
            return
        time.sleep(0.05)
    pytest.fail("nothing was executed")
