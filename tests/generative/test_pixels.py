import pytest
import torch

from tbd.generative import PixelPreprocessor, to_pixels


@pytest.mark.parametrize("as_list", [True, False])
def test_pixels_go_to_the_range_of_tanh_and_back(as_list):
    pixels = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
    inputs = PixelPreprocessor()({"inputs": list(pixels) if as_list else pixels})["inputs"]
    torch.testing.assert_close(inputs.flatten(), torch.linspace(-1, 1, 256))
    assert torch.equal(to_pixels(inputs), pixels)


def test_what_lies_outside_is_clipped():
    assert to_pixels(torch.tensor([-1.5, 2.0])).tolist() == [0, 255]


def test_images_of_several_sizes_are_an_error():
    images = [torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1, 32, 32, dtype=torch.uint8)]
    with pytest.raises(ValueError, match=r"\(1, 28, 28\), \(1, 32, 32\).*train_dataloader"):
        PixelPreprocessor()({"inputs": images})
