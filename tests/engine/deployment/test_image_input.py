import cv2
import numpy as np
import pytest
import torch
from mmcv import imrescale
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.config import Config
from tiny import preprocessor

from tbd.engine.deployment.image_input import as_input, read_image_input


def config(*steps, **options):
    pipeline = [dict(type="LoadImageFromFile"), *steps, dict(type="PackDetInputs")]
    return Config(
        dict(
            model=dict(data_preprocessor=preprocessor(**options)),
            test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    )


KEPT = dict(type="Resize", scale=(133, 80), keep_ratio=True)


@pytest.mark.parametrize("size", [(48, 100), (100, 48), (60, 60)])
def test_a_dynamic_input_is_what_mmdetection_makes_of_the_image(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    prepared, content = (spec := read_image_input(config(KEPT), dynamic=True)).prepare(image)
    resized = imrescale(image, (133, 80))
    assert content == resized.shape[:2]
    data = dict(inputs=[torch.from_numpy(resized).permute(2, 0, 1)], data_samples=None)
    options = preprocessor()
    options.pop("type")
    expected = DetDataPreprocessor(**options)(data)["inputs"]
    padded = spec.pad(as_input([prepared], spec))
    torch.testing.assert_close(padded, expected, atol=1e-5, rtol=0)


def test_a_fixed_input_holds_every_image():
    spec = read_image_input(config(KEPT))
    assert spec.size == (96, 160)
    for size in ((48, 100), (100, 48)):
        image = np.full((*size, 3), 200, np.uint8)
        prepared, (height, width) = spec.prepare(image)
        assert prepared.shape == (96, 160, 3)
        assert (height, width) <= (80, 133)
        assert height / width == pytest.approx(size[0] / size[1], rel=0.02)
        assert (prepared[:height, :width] == 200).all()
        # The padding is what becomes 0 by the normalisation.
        assert as_input([prepared], spec)[0, :, -1, -1].abs().max() < 1e-5


def test_padding_and_size_of_the_pipeline_count():
    grey = dict(type="Pad", size=(160, 128), pad_val=dict(img=(114, 114, 114)))
    spec = read_image_input(config(KEPT, grey))
    assert (spec.size, spec.pad_value) == ((128, 160), (114.0, 114.0, 114.0))
    square = dict(type="Pad", pad_to_square=True)
    assert read_image_input(config(KEPT, square)).size == (160, 160)
    whole = read_image_input(config(KEPT, dict(type="Pad", size_divisor=64)), dynamic=True)
    prepared, _ = whole.prepare(np.zeros((80, 133, 3), np.uint8))
    assert whole.pad(as_input([prepared], whole)).shape == (1, 3, 128, 192)
    pad = dict(type="Pad", size_divisor=64, pad_val=114)
    grey = read_image_input(config(KEPT, pad), dynamic=True)
    padded = grey.pad(as_input([prepared], grey))
    corner = as_input([np.full((1, 1, 3), 114, np.float32)], grey)
    torch.testing.assert_close(padded[..., -1:, -1:], corner)
    assert read_image_input(config(KEPT), (64, 96)).size == (64, 96)


def test_what_a_caller_could_not_repeat_is_refused():
    cropped = config(KEPT, dict(type="RandomCenterCropPad"))
    with pytest.raises(ValueError, match=r"has a RandomCenterCropPad.*, or give --input-size"):
        read_image_input(cropped)
    assert read_image_input(cropped, (64, 96)).size == (64, 96)
    with pytest.raises(ValueError, match="--input-size HEIGHT WIDTH"):
        read_image_input(config())
    for step, message in (
        (dict(type="mine.Sharpen"), "has a Sharpen, which"),
        (dict(type="RandomFlip", prob=0.5), "has a RandomFlip, which"),
        (dict(type="LoadImageFromFile", color_type="grayscale"), "color_type='grayscale'"),
    ):
        with pytest.raises(ValueError, match=message):
            read_image_input(config(KEPT, step), (64, 96))
    read_image_input(config(KEPT, dict(type="RandomFlip", prob=0.0)))


def test_resizing_is_that_of_opencv():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    spec = read_image_input(config(dict(type="Resize", scale=(64, 32))))
    prepared, _ = spec.prepare(image)
    np.testing.assert_array_equal(prepared[:32, :64], cv2.resize(image, (64, 32)))
