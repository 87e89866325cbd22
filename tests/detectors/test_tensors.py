import torch

from tbd.detectors.tensors import tensors_in


def test_tensors_are_found_in_their_order_and_nothing_else():
    a, b, c, d = torch.arange(4).unbind()
    assert list(tensors_in({"x": a, "y": [b, None, (c, "text")], "z": {"w": d}})) == [a, b, c, d]
    assert list(tensors_in(a)) == [a]
    assert list(tensors_in(None)) == []
