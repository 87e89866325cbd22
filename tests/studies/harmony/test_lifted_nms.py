import numpy as np
import pytest
import torch
from tiny import faster_rcnn, retinanet, samples

from tbd.detectors import build_detector, resolve_model_config
from tbd.studies.harmony.lifted_nms import lifted_nms
from tbd.studies.harmony.suppression import Candidates, suppress


def predict(model):
    data = samples()
    batch = dict(
        inputs=[item["inputs"] for item in data],
        data_samples=[item["data_samples"] for item in data],
    )
    with torch.no_grad():
        return [sample.pred_instances for sample in model.test_step(batch)]


@pytest.mark.parametrize(
    ("config", "owner"), [(retinanet(), "bbox_head"), (faster_rcnn(), "roi_head")]
)
def test_nms_of_what_goes_in_gives_what_comes_out(config, owner):
    torch.manual_seed(0)
    model = build_detector(resolve_model_config(config)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    before = getattr(model, owner).test_cfg
    expected = predict(model)
    with lifted_nms(model) as nms:
        candidates = predict(model)
    assert getattr(model, owner).test_cfg is before
    for found, final in zip(candidates, expected, strict=True):
        assert len(found.scores) > len(final.scores)
        arrays = Candidates(found.bboxes.numpy(), found.scores.numpy(), found.labels.numpy())
        decided_by = suppress(arrays, nms.iou_threshold)
        kept = np.flatnonzero(decided_by == np.arange(len(decided_by)))
        kept = kept[np.argsort(-arrays.scores[kept], kind="stable")][: len(final.scores)]
        assert np.allclose(arrays.boxes[kept], final.bboxes.numpy(), atol=1e-4)
        assert np.allclose(arrays.scores[kept], final.scores.numpy(), atol=1e-6)


@pytest.mark.parametrize("nms", [dict(type="soft_nms", iou_threshold=0.5), None])
def test_other_ways_to_suppress_are_left_alone(nms):
    config = retinanet()
    config["test_cfg"].update(nms=nms)
    model = build_detector(resolve_model_config(config))
    before = model.bbox_head.test_cfg
    with lifted_nms(model) as lifted:
        assert lifted is None
        assert model.bbox_head.test_cfg is before
