import tiny
import torch
from mmdet.models.roi_heads.bbox_heads import SABLHead
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.roi_inference import inspect_roi_head, predict_rois


def detector(config):
    torch.manual_seed(0)
    model = build_detector(resolve_model_config(config)).eval()
    for parameter in model.roi_head.parameters():
        # Fresh weights of the last layers are so small that all boxes stay where they are.
        parameter.data *= 4
    return model


def proposals(per_image=(3, 5)):
    generator = torch.Generator().manual_seed(0)
    boxes = []
    for count in per_image:
        low = torch.rand(count, 2, generator=generator) * 30
        boxes.append(torch.cat([low, low + 8 + torch.rand(count, 2, generator=generator) * 20], 1))
    return boxes


def inference(model, features, samples, boxes):
    """What MMDetection itself predicts for the proposals, nothing suppressed."""
    results = [InstanceData(bboxes=b, scores=torch.ones(len(b))) for b in boxes]
    metas = [sample.metainfo for sample in samples]
    return model.roi_head.predict_bbox(features, metas, results, rcnn_test_cfg=None)


def test_predictions_are_those_of_inference():
    for config in (tiny.faster_rcnn(), tiny.cascade_rcnn()):
        model = detector(config)
        data = tiny.batch(model)
        with torch.no_grad():
            features = model.extract_feat(data["inputs"])
            boxes = proposals()
            (found,) = predict_rois(model, features, [bbox2roi(boxes)], data["data_samples"])
            expected = inference(model, features, data["data_samples"], boxes)
        scores = torch.cat([instances.scores for instances in expected])
        torch.testing.assert_close(found.cls_logits.softmax(1), scores)
        # Inference clips to the image and lays the classes out side by side.
        placed = torch.cat([instances.bboxes for instances in expected])
        torch.testing.assert_close(found.boxes.flatten(1).clamp(0, 64), placed)


def test_a_cascade_of_as_many_stages_answers_stage_by_stage():
    model = detector(tiny.cascade_rcnn())
    data = tiny.batch(model)
    rois = [bbox2roi(proposals()), bbox2roi(proposals((2, 2)))]
    with torch.no_grad():
        features = model.extract_feat(data["inputs"])
        found = predict_rois(model, features, rois, data["data_samples"])
        for stage, (prediction, stage_rois) in enumerate(zip(found, rois, strict=True)):
            direct = model.roi_head._bbox_forward(stage, features, stage_rois)
            torch.testing.assert_close(prediction.cls_logits, direct["cls_score"])
            coder = model.roi_head.bbox_head[stage].bbox_coder
            boxes = coder.decode(stage_rois[:, 1:], direct["bbox_pred"])
            torch.testing.assert_close(prediction.boxes[:, 0], boxes)


def test_what_cannot_be_read_is_said():
    sigmoid = tiny.faster_rcnn()
    sigmoid["roi_head"]["bbox_head"]["loss_cls"] = dict(type="CrossEntropyLoss", use_sigmoid=True)
    assert "softmax" in inspect_roi_head(detector(sigmoid))[1]
    model = detector(tiny.faster_rcnn())
    model.roi_head.bbox_head = SABLHead(num_classes=3)
    assert "SABLHead lacks a classifier or a regressor" in inspect_roi_head(model)[1]

    class OwnRoIHead(type(model.roi_head)):
        def _bbox_forward(self, x, rois):
            raise NotImplementedError

    model.roi_head.__class__ = OwnRoIHead
    spec, reason = inspect_roi_head(model)
    assert spec is None
    assert "OwnRoIHead feeds its box heads in a way of its own" in reason


def test_no_proposal_gives_no_prediction():
    for config in (tiny.faster_rcnn(), tiny.cascade_rcnn()):
        model = detector(config)
        data = tiny.batch(model)
        features = model.extract_feat(data["inputs"])
        (found,) = predict_rois(model, features, [torch.empty(0, 5)], data["data_samples"])
        assert found.cls_logits.shape == (0, 4)
        assert found.boxes.shape == (0, 1, 4)
