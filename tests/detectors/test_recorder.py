import pytest
import torch
from torch import nn

from tbd.detectors.recorder import OutputRecorder


class Head(nn.Module):
    def forward(self, x):
        return [x, x + 1], {"a": [x]}


def test_containers_are_copied_and_tensors_are_not():
    head, x = Head(), torch.ones(1)
    with OutputRecorder({"head": head}) as tap:
        scores, named = head(x)
        scores[0] = None
        named["a"].clear()
    (kept_x, kept_next), kept_named = tap.outputs["head"]
    assert kept_x is x
    assert kept_next is scores[1]
    assert kept_named["a"][0] is x
    assert not head._forward_hooks


def test_module_that_was_not_called_is_named():
    with (
        pytest.raises(RuntimeError, match="neck of the student was never called"),
        OutputRecorder({"neck": Head()}),
    ):
        pass


def test_module_that_was_called_twice_is_named():
    head = Head()
    with OutputRecorder({"head": head}):
        head(torch.ones(1))
        with pytest.raises(RuntimeError, match=r"head \(Head\) .* called twice"):
            head(torch.ones(1))
    assert not head._forward_hooks
