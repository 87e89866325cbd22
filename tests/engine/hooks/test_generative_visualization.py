from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from PIL import Image

from tbd.engine import GenerativeVisualizationHook
from tbd.generative import (
    AutoEncoder,
    GenerativeAdversarialNetwork,
    ImageClassifier,
    VariationalAutoEncoder,
    to_pixels,
)


class Visualizer:
    def __init__(self):
        self.dataset_meta = dict(classes=tuple("0123456789"))
        self.pictures = {}
        self.shown = []

    def add_image(self, name, image, step):
        self.pictures[name] = image, step

    def show(self, image, win_name, wait_time):
        self.shown.append((win_name, wait_time))


def run(model, hook=None, images=12, testing=False, work_dir="."):
    """Validate or test a model once under the hook and return the visualizer."""
    torch.manual_seed(0)
    hook = hook or GenerativeVisualizationHook(columns=4)
    runner = SimpleNamespace(
        model=model.eval(),
        visualizer=Visualizer(),
        epoch=3,
        work_dir=str(work_dir),
        timestamp="now",
    )
    part = "test" if testing else "val"
    for start in range(0, images, 6):
        pixels = torch.randint(256, (6, 1, 28, 28), dtype=torch.uint8)
        samples = [BaseDataElement(metainfo=dict(img_id=start + i), label=i) for i in range(6)]
        data = {"inputs": list(pixels), "data_samples": samples}
        with torch.no_grad():
            outputs = model.val_step(data)
        getattr(hook, f"after_{part}_iter")(runner, start, data, outputs)
    getattr(hook, f"after_{part}_epoch")(runner, {})
    return runner.visualizer


def cell(picture, row, column):
    """The image [28, 28] in a cell of a grid with the default zoom and gap."""
    top, left = row * 58 + 2, column * 58 + 2
    return picture[top : top + 56 : 2, left : left + 56 : 2, 0]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (AutoEncoder(), {"reconstructions", "codes"}),
        (AutoEncoder(code_size=4), {"reconstructions"}),
        (VariationalAutoEncoder(), {"samples", "reconstructions", "interpolation"}),
        (GenerativeAdversarialNetwork(), {"samples"}),
        (ImageClassifier(), set()),
    ],
)
def test_each_model_has_its_pictures(model, names):
    pictures = run(model).pictures
    assert set(pictures) == names
    for picture, step in pictures.values():
        assert step == 3
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3


def test_samples_are_those_of_the_model_in_order():
    model = GenerativeAdversarialNetwork()
    picture, _ = run(model).pictures["samples"]
    expected = to_pixels(model.sample(16))[:, 0].numpy()
    for index, image in enumerate(expected):
        np.testing.assert_array_equal(cell(picture, index // 4, index % 4), image)


def test_reconstructions_lie_below_their_originals():
    model = AutoEncoder()
    picture, _ = run(model).pictures["reconstructions"]
    # 12 images, 4 columns: at most 4 rows, so 2 of originals.
    assert picture.shape[:2] == (4 * 58 + 2, 4 * 58 + 2)
    for row in (0, 2):
        for column in range(4):
            original = torch.tensor(cell(picture, row, column)) / 127.5 - 1
            with torch.no_grad():
                below = to_pixels(model(original[None, None]))[0, 0].int()
            found = torch.tensor(cell(picture, row + 1, column)).int()
            assert (found - below).abs().max() <= 1


def test_interpolations_begin_and_end_with_the_reconstructions():
    model = VariationalAutoEncoder()
    pictures = run(model).pictures
    interpolation, reconstructions = (
        pictures[name][0] for name in ("interpolation", "reconstructions")
    )
    for row in range(2):
        for column, source in ((0, 2 * row), (9, 2 * row + 1)):
            difference = cell(interpolation, row, column).astype(int) - cell(
                reconstructions, 1, source
            )
            assert np.abs(difference).max() <= 1
    middle = cell(interpolation, 0, 5)
    assert not np.array_equal(middle, cell(interpolation, 0, 4))


def test_few_images_are_enough():
    hook = GenerativeVisualizationHook(columns=10)
    picture, _ = run(AutoEncoder(), hook, images=6).pictures["reconstructions"]
    assert picture.shape[:2] == (2 * 58 + 2, 6 * 58 + 2)


def test_a_test_writes_its_pictures_to_a_folder_and_shows_them(tmp_path):
    hook = GenerativeVisualizationHook(columns=4, show=True, wait_time=0.5, test_out_dir="pictures")
    visualizer = run(GenerativeAdversarialNetwork(), hook, testing=True, work_dir=tmp_path)
    written = np.asarray(Image.open(tmp_path / "now" / "pictures" / "samples.png"))
    np.testing.assert_array_equal(written, visualizer.pictures["samples"][0])
    assert visualizer.shown == [("samples", 0.5)]


def test_nothing_is_drawn_if_not_asked_for_and_nothing_is_kept():
    hook = GenerativeVisualizationHook(columns=4, draw=False)
    assert run(AutoEncoder(), hook).pictures == {}
    hook = GenerativeVisualizationHook(columns=4)
    run(AutoEncoder(), hook)
    assert hook._originals == hook._outputs == []


def test_no_columns_are_an_error():
    with pytest.raises(ValueError, match=r"default_hooks\.visualization: columns=0"):
        GenerativeVisualizationHook(columns=0)
