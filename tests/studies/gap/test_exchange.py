import copy
import json
from itertools import chain
from pathlib import Path

import mmcv
import pytest
import tiny
import torch
from mmengine.runner import Runner
from tiny_run import config_dict, write_config, write_data

from tbd.detectors import build_detector, resolve_model_config
from tbd.engine import evaluate
from tbd.engine.config import load_config
from tbd.evaluation.harmony import HarmonyMetric
from tbd.studies.gap import check_exchangeable, exchange, measure_exchange


def detector(model, seed):
    """A detector of random weights whose scores are spread over [0, 1]."""
    torch.manual_seed(seed)
    built = build_detector(resolve_model_config(model))
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return built.eval()


def crop_first_image(root):
    """Make the first image wider than high, so that its batch pads it."""
    file = root / "all.json"
    content = json.loads(file.read_text())
    image = content["images"][0]
    image["height"] = 40
    path = str(root / "images" / image["file_name"])
    mmcv.imwrite(mmcv.imread(path)[:40], path)
    file.write_text(json.dumps(content))


@pytest.fixture(params=[1, 3])
def config(tmp_path, request):
    write_data(tmp_path / "data")
    crop_first_image(tmp_path / "data")
    content = config_dict(tmp_path / "data", tiny.retinanet())
    # An image is no multiple of what the preprocessor pads to.
    content["test_dataloader"]["dataset"]["pipeline"][1]["scale"] = (56, 56)
    content["test_dataloader"]["batch_size"] = request.param
    content["test_evaluator"] = dict(type="tbd.HarmonyMetric")
    return write_config(tmp_path / "config.py", content)


@pytest.fixture
def loader(config):
    return Runner.build_dataloader(load_config(config).test_dataloader, seed=0)


@pytest.mark.parametrize("kind", [tiny.retinanet, tiny.fcos])
def test_detections_are_those_of_the_head_on_mixed_outputs(kind, loader, monkeypatch):
    student, teacher = detector(kind(), 0), detector(kind(width=8, channels=16), 1)
    processed = []

    class Recorder(HarmonyMetric):
        def process(self, batch, samples):
            processed.append(samples[0]["pred_instances"])
            super().process(batch, samples)

    monkeypatch.setattr(exchange, "HarmonyMetric", Recorder)
    measure_exchange(student, teacher, loader)
    recorded = iter(processed)
    for batch in loader:
        data = student.data_preprocessor(batch, False)
        metas = [sample.metainfo for sample in data["data_samples"]]
        with torch.no_grad():
            outputs = [
                side.bbox_head(side.extract_feat(data["inputs"])) for side in (student, teacher)
            ]
        expected_of = []
        for scores, boxes in ((0, 0), (1, 0), (0, 1), (1, 1)):
            # Class scores first, then boxes, then what FCOS says of its boxes.
            mixed = [outputs[scores][0], outputs[boxes][1], *outputs[scores][2:]]
            expected_of.append(
                student.bbox_head.predict_by_feat(
                    *mixed, batch_img_metas=metas, cfg=student.test_cfg, rescale=True
                )
            )
        for expected in chain.from_iterable(zip(*expected_of, strict=True)):
            found = next(recorded)
            torch.testing.assert_close(found["scores"], expected.scores, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found["bboxes"], expected.bboxes, rtol=1e-4, atol=1e-3)
            assert found["labels"].tolist() == expected.labels.tolist()
            assert len(expected) > 5


def label_by(detectors, config):
    """Make objects of some of what detectors find, so that random ones have an AP."""
    cfg = load_config(config)
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    objects = []
    for batch in loader:
        for side in detectors:
            for sample in side.test_step(copy.deepcopy(batch)):
                found = sample.pred_instances[::9]
                for (x1, y1, x2, y2), label in zip(
                    found.bboxes.tolist(), found.labels.tolist(), strict=True
                ):
                    box = [x1, y1, x2 - x1, y2 - y1]
                    objects.append(
                        dict(
                            id=len(objects) + 1,
                            image_id=sample.img_id,
                            bbox=box,
                            area=box[2] * box[3],
                            category_id=loader.dataset.cat_ids[label],
                            iscrowd=0,
                        )
                    )
    file = Path(loader.dataset.ann_file)
    file.write_text(json.dumps(json.loads(file.read_text()) | dict(annotations=objects)))


def test_its_own_ap_is_that_of_an_evaluation(config, tmp_path):
    student, teacher = (detector(tiny.retinanet(), seed) for seed in (0, 1))
    label_by((student, teacher), config)
    loader = Runner.build_dataloader(load_config(config).test_dataloader, seed=0)
    found = measure_exchange(student, teacher, loader)
    for side, name in ((student, "own"), (teacher, "teacher")):
        checkpoint = tmp_path / f"{name}.pth"
        torch.save({"state_dict": side.state_dict()}, checkpoint)
        expected = evaluate(config, str(checkpoint), str(tmp_path / name))["harmony/ap"]
        assert getattr(found, name) == pytest.approx(100 * expected, abs=1e-4)
        assert expected > 0.01
    assert len({found.own, found.teacher, found.teachers_boxes, found.teachers_scores}) == 4


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (tiny.faster_rcnn(), tiny.retinanet(), "second stage"),
        (tiny.retinanet(classes=2), tiny.retinanet(), "2 classes and the teacher 3"),
        (tiny.fcos(), tiny.retinanet(), "FCOSHead and the teacher's RetinaHead"),
    ],
)
def test_predictions_that_do_not_correspond_are_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        check_exchangeable(detector(student, 0), detector(teacher, 1))
