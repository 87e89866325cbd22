"""The shipped configs on real images; skipped where the data sets are not at hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.structures.bbox import get_box_tensor
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from shipped import CONFIGS
from shipped import ROOT as CONFIG_ROOT
from tiny_run import ROOT, process_environment

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector, resolve_model_config
from tbd.engine import check_data, load_config

DATA = Path(os.environ.get("TBD_DATA", ROOT / "data")).absolute()

pytestmark = pytest.mark.slow


def data_set(name):
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in {DATA}; set TBD_DATA to the folder that holds it")
    return folder


def run(tool, *arguments, cwd):
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *map(str, arguments)],
        cwd=cwd,
        env=process_environment(TBD_DATA=str(DATA)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout + result.stderr


def test_coco_config_trains_resumes_evaluates_and_exports_at_true_width(tmp_path):
    config = ROOT / "configs/tbd_retinanet_r101_r50.py"
    options = [
        "--cfg-options",
        f"data_root={data_set('coco_mini')}",
        "model.teacher_ckpt=None",
        "model.allow_random_teacher=True",
        "model.student_options.backbone.init_cfg=None",
        "train_dataloader.dataset.indices=4",
        "val_dataloader.dataset.indices=2",
        "model.student_options.test_cfg.score_thr=0.0",
        "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False",
        "val_dataloader.num_workers=0",
        "val_dataloader.persistent_workers=False",
        # Real images at half the usual size keep the test to about a minute.
        "train_dataloader.dataset.pipeline.2.scale=(672,400)",
        "val_dataloader.dataset.pipeline.1.scale=(672,400)",
    ]
    work = tmp_path / "work"
    run("train.py", config, "--work-dir", work, *options, "train_cfg.max_epochs=1", cwd=tmp_path)
    assert load_checkpoint(str(work / "epoch_1.pth"))["meta"]["iter"] == 2
    resumed = ["--resume", *options, "train_cfg.max_epochs=2"]
    run("train.py", config, "--work-dir", work, *resumed, cwd=tmp_path)
    assert load_checkpoint(str(work / "epoch_2.pth"))["meta"]["iter"] == 4
    run("export_student.py", config, work / "epoch_2.pth", "--out-dir", tmp_path, cwd=tmp_path)

    plain = build_detector(resolve_model_config("mmdet::retinanet/retinanet_r50_fpn_2x_coco.py"))
    exported = load_checkpoint(str(tmp_path / "student.pth"))["state_dict"]
    plain.load_state_dict(exported, strict=True)
    trained = load_checkpoint(str(work / "epoch_2.pth"))["state_dict"]
    assert all(torch.equal(trained[f"student.{key}"], value) for key, value in exported.items())


@pytest.mark.parametrize("name", ["bccd", "coco_mini", "nuclei"])
def test_small_config_trains_and_evaluates_on_real_images(name, tmp_path):
    data_set(name)
    config = ROOT / "configs" / name / f"tbd_retinanet_{name}.py"
    options = [
        "--cfg-options",
        "model.teacher_ckpt=None",
        "model.allow_random_teacher=True",
        # Two iterations leave all scores below the usual threshold.
        "model.student_options.test_cfg.score_thr=0.0",
        "train_dataloader.dataset.indices=16",
        "val_dataloader.dataset.indices=8",
        "train_cfg.max_epochs=1",
        "train_cfg.val_interval=1",
        "default_hooks.logger.interval=1",
    ]
    output = run("train.py", config, "--work-dir", tmp_path / "work", *options, cwd=tmp_path)
    assert "hd.loss_harmony" in output
    assert "coco/bbox_mAP" in output
    assert (tmp_path / "work/student.pth").is_file()


@pytest.mark.parametrize("name", [name for name in CONFIGS if "/" not in name])
def test_training_data_of_a_coco_config_is_read(name):
    cfg = load_config(str(CONFIG_ROOT / name), {"data_root": str(data_set("coco_mini"))})
    check_data(cfg, ("train", "val"))
    with DefaultScope.overwrite_default_scope("mmdet"):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    set_random_seed(0)
    assert len(dataset.metainfo["classes"]) == 80
    item = dataset[0]
    assert item["inputs"].shape[0] == 3
    instances = item["data_samples"].gt_instances
    height, width = item["data_samples"].img_shape
    assert item["inputs"].shape[1:] == (height, width)
    boxes = get_box_tensor(instances.bboxes)
    assert len(boxes) > 0
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([width, height, width, height])).all()
    if "Mask" in cfg.model.student.type:
        assert instances.masks.masks.shape == (len(boxes), height, width)
