import hashlib
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS as ROOT_DATASETS
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from tiny_run import process_environment

from tbd.datasets import ShapesDataset, ShapesParameters, shapes, write_shapes
from tbd.datasets.shapes import CLASSES, draw_image

SMALL = ShapesParameters(split="val", num_images=5, image_size=(96, 64), seed=3)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def corners(shape):
    x, y, width, height = shape.box
    return np.array([x, y, x + width, y + height])


def test_equal_parameters_give_equal_files(tmp_path):
    first = digest(write_shapes(tmp_path / "a", SMALL))
    assert first == digest(write_shapes(tmp_path / "b", SMALL))
    assert len(first) == 6


@pytest.mark.slow
def test_another_process_draws_the_same(tmp_path):
    code = (
        "import sys; from tbd.datasets import *;"
        "write_shapes(sys.argv[1], ShapesParameters('val', 5, (96, 64), seed=3))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b")], env=process_environment(), check=True
    )
    assert digest(write_shapes(tmp_path / "a", SMALL)) == digest(tmp_path / "b" / "val")


@pytest.mark.parametrize("change", [{"seed": 4}, {"split": "train"}])
def test_seed_and_split_change_the_images(change):
    other = ShapesParameters(**{**SMALL.__dict__, **change})
    drawn = [draw_image(parameters, 0)[0] for parameters in (SMALL, other)]
    assert (drawn[0] != drawn[1]).any()


def test_images_of_a_split_differ_and_a_longer_split_begins_with_them(tmp_path):
    long = ShapesParameters(**{**SMALL.__dict__, "num_images": 8})
    short_files = digest(write_shapes(tmp_path / "short", SMALL) / "images")
    long_files = digest(write_shapes(tmp_path / "long", long) / "images")
    assert len(set(long_files.values())) == 8
    assert short_files.items() < long_files.items()


def test_images_are_those_of_sets_already_written():
    digests = hashlib.sha256()
    for index in range(3):
        digests.update(draw_image(ShapesParameters(seed=1), index)[0].tobytes())
    assert digests.hexdigest().startswith("734548ddd2f8f873be970ede979a1d51")


def test_class_frequencies_fall_by_one_factor_to_the_imbalance():
    parameters = ShapesParameters(imbalance=81)
    frequencies = parameters.class_frequencies
    np.testing.assert_allclose(frequencies[:-1] / frequencies[1:], 3)
    assert frequencies.sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    draws = 4000
    labels = [shapes._random_shape(rng, parameters).label for _ in range(draws)]
    counts = np.bincount(labels, minlength=len(CLASSES))
    deviation = np.sqrt(draws * frequencies * (1 - frequencies))
    assert (abs(counts - draws * frequencies) < 4 * deviation).all()


def test_a_folder_written_before_there_was_an_imbalance_stays_valid(tmp_path):
    folder = write_shapes(tmp_path, SMALL)
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    assert content["info"]["parameters"].pop("imbalance") == 1
    path.write_text(json.dumps(content))
    assert write_shapes(tmp_path, SMALL) == folder
    with pytest.raises(ValueError, match=r"imbalance is 1\.0 there, but 100 is asked for"):
        write_shapes(tmp_path, ShapesParameters(**{**SMALL.__dict__, "imbalance": 100}))


@pytest.fixture
def plain_canvas(monkeypatch):
    """Without clutter and noise, what differs from the background is a shape."""
    monkeypatch.setattr(
        shapes, "_background", lambda rng, h, w: np.full((h, w, 3), 128, dtype=np.int32)
    )
    monkeypatch.setattr(shapes, "_add_clutter", lambda *args, **kwargs: None)
    monkeypatch.setattr(shapes, "_NOISE", 0)


@pytest.mark.parametrize("index", range(20))
def test_box_is_tight_around_the_drawn_pixels(plain_canvas, index):
    single = ShapesParameters(min_shapes=1, max_shapes=1)
    image, (shape,) = draw_image(single, index)
    rows, columns = np.nonzero((image != 128).any(axis=2))
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # Sub-pixels: a thin tip may colour no pixel visibly, an edge colours the whole of its pixel.
    np.testing.assert_allclose(corners(shape), drawn, atol=1.1)


def test_later_shapes_cover_earlier_ones_but_not_most_of_them(plain_canvas):
    crowded = ShapesParameters(min_shapes=5, max_shapes=8)
    overlapping = 0
    for index in range(10):
        image, drawn = draw_image(crowded, index)
        assert 5 <= len(drawn) <= 8
        masks = [polygon_mask(shape.polygon, image.shape[:2]) for shape in drawn]
        for number, mask in enumerate(masks):
            above = np.zeros_like(mask)
            for later in masks[number + 1 :]:
                above |= later
            covered = (mask & above).sum() / mask.sum()
            overlapping += covered > 0.05
            # The generator counts a pixel at half coverage, OpenCV's mask at any.
            assert covered < 0.6
    assert overlapping > 5


def polygon_mask(polygon, size):
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


def test_annotations_agree_with_pycocotools_masks(tmp_path):
    parameters = ShapesParameters(num_images=20, image_size=(160, 128))
    folder = write_shapes(tmp_path, parameters)
    coco = COCO(folder / "annotations.json")
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert len(coco.imgs) == 20
    assert len({annotation["category_id"] for annotation in coco.anns.values()}) == len(CLASSES)
    scale = 8  # Rasterised at whole pixels, the thin tip of a star would be lost.
    for annotation in coco.anns.values():
        (polygon,) = annotation["segmentation"]
        enlarged = [[value * scale for value in polygon]]
        mask = mask_utils.decode(mask_utils.frPyObjects(enlarged, 128 * scale, 160 * scale))
        rows, columns, _ = np.nonzero(mask)
        drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / scale
        x, y, width, height = annotation["bbox"]
        np.testing.assert_allclose([x, y, x + width, y + height], drawn, atol=0.3)
        assert annotation["area"] == pytest.approx(mask.sum() / scale**2, rel=0.03)
        assert 0 <= x < x + width <= 160
        assert 0 <= y < y + height <= 128


def test_images_are_what_was_asked_for(tmp_path):
    parameters = ShapesParameters(num_images=6, image_size=(80, 48), min_shapes=2, max_shapes=3)
    folder = write_shapes(tmp_path, parameters)
    coco = COCO(folder / "annotations.json")
    for image_id, info in coco.imgs.items():
        image = cv2.imread(str(folder / "images" / info["file_name"]))
        assert image.shape == (info["height"], info["width"], 3) == (48, 80, 3)
        assert 2 <= len(coco.getAnnIds(image_id)) <= 3


def test_no_shapes_is_an_image_without_annotations(tmp_path):
    parameters = ShapesParameters(num_images=12, min_shapes=0, max_shapes=1)
    coco = COCO(write_shapes(tmp_path, parameters) / "annotations.json")
    counts = {len(coco.getAnnIds(image_id)) for image_id in coco.imgs}
    assert counts == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "minival"}, "split must be one of train, val, test"),
        ({"num_images": 0}, "num_images must be at least 1"),
        ({"image_size": (16, 64)}, "image_size must be width and height"),
        ({"image_size": (64,)}, "image_size must be width and height"),
        ({"min_shapes": -1}, "min_shapes must be at least 0"),
        ({"min_shapes": 4, "max_shapes": 3}, r"at least min_shapes \(4\), but is 3"),
        ({"shape_size": (0.4, 0.1)}, "0 < smallest <= largest"),
        ({"shape_size": (0.1, 1.5)}, "0 < smallest <= largest"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"imbalance": 0.5}, "imbalance must be a finite number of at least 1"),
        ({"imbalance": float("inf")}, "imbalance must be a finite number"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShapesParameters(**arguments)


def test_too_many_shapes_for_the_image():
    with pytest.raises(ValueError, match="lower min_shapes or shape_size"):
        draw_image(ShapesParameters(min_shapes=80, max_shapes=80, shape_size=(0.4, 0.5)), 0)


def test_a_written_split_is_not_written_again(tmp_path):
    folder = write_shapes(tmp_path, SMALL)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_shapes(tmp_path, SMALL) == folder
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_other_parameters_are_refused_and_named(tmp_path):
    folder = write_shapes(tmp_path, SMALL)
    before = digest(folder)
    other = ShapesParameters(**{**SMALL.__dict__, "num_images": 7, "seed": 9})
    with pytest.raises(ValueError, match="num_images is 5 there, but 7 is asked for") as error:
        write_shapes(tmp_path, other)
    assert "seed is 3 there, but 9" in str(error.value)
    assert f"Delete {folder}" in str(error.value)
    assert digest(folder) == before


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "val").mkdir()
    with pytest.raises(ValueError, match="is not a shapes split"):
        write_shapes(tmp_path, SMALL)


def test_a_split_of_another_format_is_refused(tmp_path, monkeypatch):
    write_shapes(tmp_path, SMALL)
    monkeypatch.setattr(shapes, "_FORMAT", 10**6)
    with pytest.raises(ValueError, match="in format"):
        write_shapes(tmp_path, SMALL)


def test_an_interrupted_writing_leaves_no_split(tmp_path, monkeypatch):
    original = cv2.imwrite

    def interrupted(path, image):
        if path.endswith("000003.png"):
            raise KeyboardInterrupt
        return original(path, image)

    monkeypatch.setattr(shapes.cv2, "imwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_shapes(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert len(digest(write_shapes(tmp_path, SMALL))) == 6


def test_what_a_killed_process_left_is_not_believed(tmp_path):
    # SIGKILL gives no chance to clean up: the temporary folder stays.
    left = tmp_path / ".val-killed"
    (left / "images").mkdir(parents=True)
    (left / "annotations.json").write_text(json.dumps({"info": {}}))
    assert len(digest(write_shapes(tmp_path, SMALL))) == 6


def test_the_loser_of_a_race_uses_what_the_winner_wrote(tmp_path, monkeypatch):
    original = shapes._write_split

    def while_another_process_finishes(folder, parameters):
        original(folder, parameters)
        monkeypatch.setattr(shapes, "_write_split", original)
        write_shapes(tmp_path, parameters)

    monkeypatch.setattr(shapes, "_write_split", while_another_process_finishes)
    assert len(digest(write_shapes(tmp_path, SMALL))) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["val"]


def _write(root, barrier, results):
    barrier.wait()
    results.put(str(write_shapes(root, SMALL)))


def test_processes_that_start_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_write, args=(tmp_path, barrier, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert {results.get(timeout=5) for _ in processes} == {str(tmp_path / "val")}
    assert [path.name for path in tmp_path.iterdir()] == ["val"]
    assert len(digest(tmp_path / "val")) == 6


def dataset_config(root, **options):
    return dict(
        type="tbd.ShapesDataset",
        data_root=f"{root}/",
        split="val",
        shapes=dict(num_images=5, image_size=[96, 64]),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True),
            dict(type="mmdet.PackDetInputs"),
        ],
        **options,
    )


def test_dataset_writes_and_loads_its_split(tmp_path):
    dataset = ROOT_DATASETS.build(dataset_config(tmp_path))
    assert isinstance(dataset, ShapesDataset)
    assert len(dataset) == 5
    assert dataset.metainfo["classes"] == CLASSES
    assert len(dataset.metainfo["palette"]) == len(CLASSES)
    _, drawn = draw_image(dataset.parameters, 2)
    sample = dataset[2]
    assert sample["inputs"].shape == (3, 64, 96)
    truth = sample["data_samples"].gt_instances
    assert truth.labels.tolist() == [shape.label for shape in drawn]
    np.testing.assert_allclose(
        truth.bboxes.tensor.numpy(), [corners(shape) for shape in drawn], atol=0.011
    )
    areas = truth.masks.areas
    np.testing.assert_allclose(areas, [shape.area for shape in drawn], rtol=0.05, atol=2)


def test_lazy_dataset_writes_nothing_until_it_is_loaded(tmp_path):
    dataset = ROOT_DATASETS.build(dataset_config(tmp_path / "set", lazy_init=True))
    assert not (tmp_path / "set").exists()
    dataset.full_init()
    assert len(dataset) == 5


def test_unknown_parameter_is_refused(tmp_path):
    config = dataset_config(tmp_path)
    config["shapes"] = dict(colour="red")
    with pytest.raises(TypeError, match="colour"):
        ROOT_DATASETS.build(config)
