import torch

from tbd.studies.pairs.random_boxes import RandomBoxesDataset


def test_an_item_depends_on_its_index_alone():
    first, second = (RandomBoxesDataset(num_classes=3, num_images=2)[1] for _ in range(2))
    assert torch.equal(first["inputs"], second["inputs"])
    boxes = [item["data_samples"].gt_instances.bboxes for item in (first, second)]
    assert torch.equal(*boxes)
    other = RandomBoxesDataset(num_classes=3, num_images=2)[0]
    assert not torch.equal(first["inputs"], other["inputs"])


def test_boxes_lie_inside_and_masks_fill_them():
    sample = RandomBoxesDataset(num_classes=3, size=200, num_boxes=50, with_masks=True)[0]
    instances = sample["data_samples"].gt_instances
    low, high = instances.bboxes.split(2, dim=1)
    assert low.min() >= 0
    assert high.max() <= 200
    sides = high - low
    assert 20 <= sides.min() < sides.max() <= 140
    assert set(instances.labels.tolist()) == {0, 1, 2}
    areas = torch.tensor(instances.masks.areas)
    # A mask has the pixels whose centres lie inside: along each side one more or less.
    torch.testing.assert_close(areas.sqrt(), sides.prod(dim=1).sqrt(), rtol=0, atol=1.5)
