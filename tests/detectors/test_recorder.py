import pytest
import torch
from torch import nn

from tbd.detectors.recorder import OutputRecorder


class Head(nn.Module):
    def forward(self, x):
        return [x, x + 1], {"a": [x]}


def test_containers_are_copied_and_tensors_are_not():
    head, x = Head(), torch.ones(1)
    with OutputRecorder({"head": head}) as recorder:
        scores, named = head(x)
        scores[0] = None
        named["a"].clear()
    (kept_x, kept_next), kept_named = recorder.only("head").output
    assert kept_x is x
    assert kept_next is scores[1]
    assert kept_named["a"][0] is x
    assert recorder.only("head").inputs == (x,)
    assert not head._forward_hooks


def test_every_call_of_a_shared_module_is_kept_in_order():
    head, levels = Head(), [torch.full((1,), float(level)) for level in range(3)]
    with OutputRecorder({"head": head}) as recorder:
        for level in levels:
            head(level)
    outputs = recorder.outputs("head")
    assert all(output[0][0] is level for output, level in zip(outputs, levels, strict=True))
    with pytest.raises(RuntimeError, match=r"head \(Head\) of the detector was called 3 times"):
        recorder.only("head")


def test_an_input_is_kept_as_it_was_before_the_module_overwrote_it():
    activation, x = nn.ReLU(inplace=True), torch.tensor([-1.0, 2.0])
    with OutputRecorder({"output": activation}, inputs={"input": activation}) as recorder:
        activation(x)
    assert recorder.outputs("input")[0].tolist() == [-1.0, 2.0]
    assert recorder.outputs("output")[0].tolist() == [0.0, 2.0]
    assert not activation._forward_pre_hooks
    with (
        pytest.raises(RuntimeError, match="input of the detector was never called"),
        OutputRecorder({}, inputs={"input": activation}),
    ):
        pass


def test_module_that_was_not_called_is_named():
    with (
        pytest.raises(RuntimeError, match="neck of the student was never called"),
        OutputRecorder({"neck": Head()}, "student"),
    ):
        pass


def test_hooks_are_gone_after_an_error():
    head = Head()
    with pytest.raises(KeyError), OutputRecorder({"head": head, "other": Head()}):
        raise KeyError
    assert not head._forward_hooks
