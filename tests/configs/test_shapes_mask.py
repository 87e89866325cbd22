"""The shipped mask and semantic configs train what their losses act on."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper

from tbd.engine import load_config
from tbd.registry import MODELS

ROOT = Path(__file__).parents[2] / "configs" / "shapes_mask"
MASK = sorted(path.stem for path in ROOT.glob("mask-rcnn_*.py"))
SEMANTIC = [name for name in MASK if "cross-entropy" not in name]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("shapes")


def train(cfg, data_root, key, steps=8):
    """Loss values of steps on one batch."""
    cfg.train_dataloader.dataset.update(data_root=str(data_root), shapes=dict(num_images=2))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=2e-3))
    batch = pseudo_collate([dataset[i] for i in range(2)])
    return [float(model.train_step(batch, wrapper)[key]) for _ in range(steps)]


def test_each_loss_has_a_config_of_a_few_lines():
    types = {
        load_config(str(ROOT / f"{name}.py")).model.roi_head.mask_head.loss_mask.type
        for name in SEMANTIC
    }
    assert types == {
        f"tbd.{name}Loss"
        for name in (
            *("BCEDice", "BinaryFocal", "Combo", "Dice", "FocalTversky"),
            *("Jaccard", "LovaszHinge", "LovaszSoftmax", "Tversky"),
        )
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", MASK)
def test_mask_loss_falls(name, data_root):
    values = train(load_config(str(ROOT / f"{name}.py")), data_root, "loss_mask")
    assert sum(values[-2:]) < sum(values[:2])


@pytest.mark.slow
@pytest.mark.parametrize("name", SEMANTIC)
def test_semantic_loss_falls(name, data_root):
    cfg = load_config(str(ROOT / "htc_lovasz-softmax_shapes.py"))
    loss = load_config(str(ROOT / f"{name}.py")).model.roi_head.mask_head.loss_mask
    cfg.model.roi_head.semantic_head.loss_seg = loss | dict(ignore_index=255)
    values = train(cfg, data_root, "loss_semantic_seg")
    assert sum(values[-2:]) < sum(values[:2])
