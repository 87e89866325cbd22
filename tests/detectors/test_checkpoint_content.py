import pytest
import tiny
import torch
from mmdet.utils import register_all_modules

from tbd.detectors import build_detector
from tbd.registry import MODELS


@pytest.fixture(scope="module")
def weights():
    register_all_modules()
    return build_detector(tiny.retinanet(width=8, channels=16)).state_dict()


def first(weights, value):
    return weights | {next(iter(weights)): value}


CASES = {
    "a list instead of a dict": lambda w: [1],
    "state_dict is 'None', a NoneType, not a Mapping": lambda w: dict(state_dict=None),
    "state_dict is .*, a list, not a Mapping": lambda w: dict(state_dict=[1]),
    "a str, not a Tensor": lambda w: dict(state_dict=first(w, "x")),
    "the name 0 in state_dict .* a int, not a str": lambda w: dict(
        state_dict=dict(enumerate(w.values()))
    ),
    "not a dense one of real numbers": lambda w: dict(
        state_dict=first(w, torch.zeros(1).to_sparse())
    ),
    "type torch.complex64": lambda w: dict(state_dict=first(w, torch.zeros(1, dtype=torch.cfloat))),
    r"no 'state_dict'; it has weights under 'model', 'ema'\. .*checkpoint\['model'\]": lambda w: (
        dict(epoch=1, model=w, ema=w)
    ),
    "meta is .*, a list, not a Mapping": lambda w: dict(state_dict=w, meta=[1]),
    "meta.dataset_meta is": lambda w: dict(state_dict=w, meta=dict(dataset_meta=[1])),
    "the class names in meta is '3'": lambda w: dict(
        state_dict=w, meta=dict(dataset_meta=dict(classes=3))
    ),
    "a class name in meta is '1'": lambda w: dict(
        state_dict=w, meta=dict(dataset_meta=dict(classes=[1, 2, 3]))
    ),
    "of another kind of number": lambda w: dict(state_dict=first(w, next(iter(w.values())).int())),
}


@pytest.mark.parametrize("message", CASES)
def test_an_odd_checkpoint_is_refused_with_its_key(weights, tmp_path, message):
    file = tmp_path / "odd.pth"
    torch.save(CASES[message](weights), file)
    with pytest.raises(ValueError, match=message) as error:
        MODELS.build(tiny.wrapper(teacher_ckpt=str(file)))
    assert "teacher_ckpt" in str(error.value)
    assert str(file) in str(error.value)


def test_weights_in_half_precision_are_weights(weights, tmp_path):
    torch.save(
        dict(
            state_dict={k: v.bfloat16() if v.is_floating_point() else v for k, v in weights.items()}
        ),
        tmp_path / "half.pth",
    )
    MODELS.build(tiny.wrapper(teacher_ckpt=str(tmp_path / "half.pth")))
