import numpy as np
import pytest

from tbd.visualization.image_grid import image_grid


def test_images_lie_in_rows():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 3), np.uint8)
    grid = image_grid(images, columns=2, zoom=3, gap=1)
    # Three rows of height 2·3 and two columns of width 3·3, with gaps around.
    assert grid.shape == (3 * 7 + 1, 2 * 10 + 1, 3)
    for index in range(5):
        top, left = index // 2 * 7 + 1, index % 2 * 10 + 1
        assert (grid[top : top + 6, left : left + 9] == index).all()
    assert (grid[15:, 11:] == 128).all()
    assert (grid[0] == 128).all()


def test_colours_keep_their_order():
    image = np.zeros((1, 3, 1, 1), np.uint8)
    image[0, :, 0, 0] = (10, 20, 30)
    assert image_grid(image, 1, zoom=1, gap=0)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("shape", [(0, 1, 2, 2), (2, 2, 2, 2), (2, 2, 2)])
def test_other_arrays_are_errors(shape):
    with pytest.raises(ValueError, match="1 or 3"):
        image_grid(np.zeros(shape, np.uint8), 2)
