import numpy as np
import pytest
import torch
from tiny import faster_rcnn, retinanet, samples, wrapper
from tiny_run import config_dict, write_config, write_data

from tbd.detectors import build_detector, resolve_model_config
from tbd.engine import evaluate, train
from tbd.evaluation.dense_recorder import DenseRecorder
from tbd.evaluation.dense_summary import measure_summaries
from tbd.evaluation.harmony import DENSE_KEY
from tbd.predictions import UnsupportedHeadError


def build(config):
    torch.manual_seed(0)
    model = build_detector(resolve_model_config(config))
    for parameter in model.parameters():
        # Scores spread over all of [0, 1], which fresh heads do not give.
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def scaled_batch(scale):
    """Images that were resized by ``scale``; ground truth in original pixels."""
    data = samples()
    for item in data:
        truth = item["data_samples"].gt_instances
        truth.bboxes = truth.bboxes / truth.bboxes.new_tensor(scale).repeat(2)
        item["data_samples"].set_metainfo(dict(scale_factor=scale))
    return dict(
        inputs=[item["inputs"] for item in data],
        data_samples=[item["data_samples"] for item in data],
    )


@torch.no_grad()
def expected_pairs(model, head, score_thr):
    """Score and IoU of all dense predictions by the head's own decoding and a loop over objects."""
    data = model.data_preprocessor(scaled_batch((1.0, 1.0)), training=False)
    cls_scores, deltas = head(model.extract_feat(data["inputs"]))
    pairs = []
    for index, sample in enumerate(data["data_samples"]):
        for level, scores in enumerate(cls_scores):
            priors = head.prior_generator.single_level_grid_priors(
                scores.shape[-2:], level, device="cpu"
            )
            rows = deltas[level][index].permute(1, 2, 0).reshape(-1, 4)
            boxes = head.bbox_coder.decode(priors, rows)
            best = scores[index].permute(1, 2, 0).reshape(len(boxes), -1).sigmoid().amax(dim=1)
            for box, score in zip(boxes.tolist(), best.tolist(), strict=True):
                if score < score_thr:
                    continue
                ious = []
                for gt in sample.gt_instances.bboxes.tolist():
                    w = max(min(box[2], gt[2]) - max(box[0], gt[0]), 0)
                    h = max(min(box[3], gt[3]) - max(box[1], gt[1]), 0)
                    union = (box[2] - box[0]) * (box[3] - box[1]) + (gt[2] - gt[0]) * (
                        gt[3] - gt[1]
                    )
                    ious.append(w * h / (union - w * h))
                pairs.append((score, max(ious)))
    return np.array(pairs)


@pytest.mark.parametrize(
    ("config", "name"), [(retinanet(), "bbox_head"), (faster_rcnn(), "rpn_head")]
)
def test_summaries_are_those_of_the_heads_own_boxes(config, name):
    model = build(config)
    with DenseRecorder(model, 0.5):
        # Original images of another size and shape.
        found = model.test_step(scaled_batch((2.0, 0.5)))
    measured = measure_summaries([sample.get(DENSE_KEY) for sample in found])
    pairs = expected_pairs(model, getattr(model, name), 0.5)
    assert 20 < len(pairs) == sum(sample.get(DENSE_KEY).counts.sum() for sample in found)
    assert measured["mean_confidence"] == pytest.approx(pairs[:, 0].mean(), abs=1e-5)
    assert measured["mean_iou"] == pytest.approx(pairs[:, 1].mean(), abs=1e-5)
    assert measured["pearson"] == pytest.approx(np.corrcoef(pairs.T)[0, 1], abs=1e-4)
    expected = (1 - np.tanh(np.abs(pairs[:, 0] - pairs[:, 1]))).mean()
    assert measured["harmony_score"] == pytest.approx(expected, abs=1e-5)


def test_nothing_is_left_behind():
    model = build(retinanet())
    recorder = DenseRecorder(model, 0.3)
    with recorder:
        model.test_step(scaled_batch((1.0, 1.0)))
    assert recorder._output is None
    assert DENSE_KEY not in model.test_step(scaled_batch((1.0, 1.0)))[0]


def test_samples_without_ground_truth_name_the_pipeline_step():
    model = build(retinanet())
    data = scaled_batch((1.0, 1.0))
    for sample in data["data_samples"]:
        del sample.gt_instances
    with DenseRecorder(model, 0.3), pytest.raises(ValueError, match="LoadAnnotations"):
        model.test_step(data)


def test_a_detector_without_a_dense_head():
    with pytest.raises(UnsupportedHeadError, match="no dense head"):
        DenseRecorder(torch.nn.Identity(), 0.3)


@pytest.mark.openmmlab
def test_a_distillation_is_validated_with_its_dense_predictions(tmp_path):
    write_data(tmp_path / "data")
    content = config_dict(tmp_path / "data", wrapper(), epochs=1)
    # After the resizing, in original pixels.
    pipeline = content["val_dataloader"]["dataset"]["pipeline"]
    assert [step["type"] for step in pipeline[1:3]] == ["Resize", "LoadAnnotations"]
    metric = dict(type="tbd.HarmonyMetric", dense=True, score_thr=0.005)
    for key in ("val_evaluator", "test_evaluator"):
        content[key] = [content[key], metric]
    content["custom_hooks"] = [dict(type="tbd.DensePredictionsHook", score_thr=0.005)]
    config = write_config(tmp_path / "run.py", content)
    train(config, str(tmp_path / "work"))
    found = evaluate(config, str(tmp_path / "work/student.pth"), str(tmp_path / "test"))
    assert found["harmony/dense_num_predictions"] > found["harmony/num_detections"] > 0
    assert 0 < found["harmony/dense_harmony_score"] <= 1


def test_a_hook_on_a_detector_that_it_cannot_read(tmp_path):
    from tbd.engine.hooks import DensePredictionsHook

    class Runner:
        model = torch.nn.Identity()

    with pytest.raises(ValueError, match=r"DensePredictionsHook is set.*Remove the hook"):
        DensePredictionsHook().before_val_epoch(Runner())
