import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from tbd.distill import GroundTruth

IMAGES = torch.zeros(2, 3, 64, 96)
BOXES = torch.tensor([[1.0, 2, 30, 40], [5, 6, 7, 8]])


def sample(shape, boxes=None, labels=None, ignored=None):
    built = DetDataSample(metainfo=dict(img_shape=shape))
    known = dict(bboxes=boxes, labels=labels)
    built.gt_instances = InstanceData(**{k: v for k, v in known.items() if v is not None})
    if ignored is not None:
        built.ignored_instances = InstanceData(bboxes=ignored)
    return built


def test_a_batch_is_read_image_by_image():
    labelled = sample((60, 90), BOXES, torch.tensor([2, 1]), ignored=BOXES[1:] + 20)
    gt = GroundTruth.of(IMAGES, [labelled, sample((64, 80), BOXES[:1], torch.tensor([3]))])
    assert [boxes.tolist() for boxes in gt.boxes] == [BOXES.tolist(), BOXES[:1].tolist()]
    assert [labels.tolist() for labels in gt.labels] == [[2, 1], [3]]
    assert [boxes.tolist() for boxes in gt.ignored] == [(BOXES[1:] + 20).tolist(), []]
    assert gt.image_sizes == ((60, 90), (64, 80))
    assert gt.input_size == (64, 96)


def test_objects_without_labels_are_of_class_0_and_images_without_boxes_have_none():
    gt = GroundTruth.of(IMAGES, [sample((64, 96), BOXES), sample((64, 96))])
    assert [labels.tolist() for labels in gt.labels] == [[0, 0], []]
    assert all(labels.dtype == torch.long for labels in gt.labels)
    assert gt.boxes[1].shape == gt.ignored[0].shape == (0, 4)


def test_what_is_no_background_are_objects_and_ignored_regions():
    regions = torch.tensor([[50, 50, 60, 60]], dtype=torch.float64)
    gt = GroundTruth.of(IMAGES, [sample((64, 96), BOXES, ignored=regions), sample((64, 96))])
    objects, none = gt.occupied()
    assert objects.dtype == BOXES.dtype
    assert objects.tolist() == [*BOXES.tolist(), *regions.tolist()]
    assert none.shape == (0, 4)
    bare = GroundTruth.of_boxes(IMAGES, [BOXES, BOXES[:0]])
    assert [boxes.tolist() for boxes in bare.occupied()] == [BOXES.tolist(), []]
    assert [labels.tolist() for labels in bare.labels] == [[0, 0], []]
    assert bare.image_sizes == ((64, 96), (64, 96))
