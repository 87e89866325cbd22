import pytest
import tiny
import torch
from mmdet.registry import MODELS
from torch import nn

from tbd.detectors.renormalization import InputRenormalization


def preprocess(preprocessor, images):
    return preprocessor(dict(inputs=list(images), data_samples=None), training=False)["inputs"]


def build(**options):
    config = tiny.preprocessor(**options)
    return MODELS.build({key: value for key, value in config.items() if value is not ...})


UNNORMALIZED = dict(mean=..., std=..., bgr_to_rgb=False, pad_value=114)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ({}, dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])),
        ({}, dict(bgr_to_rgb=False)),
        (dict(bgr_to_rgb=False), dict(rgb_to_bgr=True, bgr_to_rgb=False, mean=[7.0, 8.0, 9.0])),
        ({}, UNNORMALIZED),
        (UNNORMALIZED, {}),
        ({}, dict(pad_value=3)),
    ],
)
def test_result_is_what_the_teachers_preprocessor_makes_of_the_raw_images(student, teacher):
    generator = torch.Generator().manual_seed(0)
    sizes = [(40, 64), (64, 33)]
    images = [
        torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes
    ]
    source, target = build(**student), build(**teacher)
    result = InputRenormalization(source, target)(preprocess(source, images), sizes)
    torch.testing.assert_close(result, preprocess(target, images), rtol=1e-5, atol=1e-4)


def test_equal_preprocessors_leave_the_batch_itself():
    inputs = torch.rand(1, 3, 8, 8)
    assert InputRenormalization(build(), build())(inputs, [(8, 8)]) is inputs


def test_other_kinds_of_preprocessor_are_refused():
    with pytest.raises(ValueError, match=r"teacher's data_preprocessor Identity.*teacher_options"):
        InputRenormalization(build(), nn.Identity())
