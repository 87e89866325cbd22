"""A training run that takes seconds: a data set of coloured rectangles and a config for it."""

import copy
import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

CLASSES = ("bar", "square", "tile")
ROOT = Path(__file__).resolve().parents[1]


def write_data(root: Path, images: int = 8, size: int = 64) -> None:
    """Write a COCO-format data set of ``images`` pictures with two rectangles each."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    content: dict[str, Any] = dict(
        images=[],
        annotations=[],
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES)],
    )
    for image_id in range(images):
        pixels = rng.integers(0, 60, (size, size, 3), dtype=np.uint8)
        for category in rng.integers(0, len(CLASSES), 2).tolist():
            x, y = rng.integers(0, size // 2, 2).tolist()
            width, height = [(size // 3, size // 6), (size // 3,) * 2, (size // 6,) * 2][category]
            pixels[y : y + height, x : x + width] = rng.integers(120, 255, 3)
            content["annotations"].append(
                dict(
                    id=len(content["annotations"]),
                    image_id=image_id,
                    category_id=category,
                    bbox=[x, y, width, height],
                    area=width * height,
                    iscrowd=0,
                )
            )
        name = f"{image_id}.png"
        Image.fromarray(pixels).save(root / "images" / name)
        content["images"].append(dict(id=image_id, file_name=name, width=size, height=size))
    (root / "all.json").write_text(json.dumps(content))


def config_dict(data_root: Path, model: dict[str, Any], epochs: int = 3) -> dict[str, Any]:
    """A full config: 4 iterations an epoch, flips, validation at the end."""
    dataset = dict(
        type="CocoDataset",
        data_root=f"{data_root}/",
        ann_file="all.json",
        data_prefix=dict(img="images/"),
        metainfo=dict(classes=CLASSES),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackDetInputs"),
        ],
    )
    test_dataset = copy.deepcopy(dataset) | dict(
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    )
    test_dataset["pipeline"].insert(1, dict(type="Resize", scale=(64, 64)))
    loader = dict(
        batch_size=2,
        num_workers=0,
        persistent_workers=False,
        dataset=dataset,
        sampler=dict(type="DefaultSampler", shuffle=True),
    )
    test_loader = loader | dict(
        dataset=test_dataset, sampler=dict(type="DefaultSampler", shuffle=False)
    )
    evaluator = dict(type="CocoMetric", ann_file=f"{data_root}/all.json", metric="bbox")
    return dict(
        custom_imports=dict(imports=["tbd"]),
        default_scope="mmdet",
        data_root=f"{data_root}/",
        model=model,
        train_dataloader=loader,
        val_dataloader=test_loader,
        test_dataloader=copy.deepcopy(test_loader),
        val_evaluator=evaluator,
        test_evaluator=dict(evaluator),
        train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=epochs, val_interval=epochs),
        val_cfg=dict(type="ValLoop"),
        test_cfg=dict(type="TestLoop"),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        param_scheduler=[dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=6)],
        default_hooks=dict(
            timer=dict(type="IterTimerHook"),
            logger=dict(type="LoggerHook", interval=1),
            param_scheduler=dict(type="ParamSchedulerHook"),
            checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2),
            sampler_seed=dict(type="DistSamplerSeedHook"),
            visualization=dict(type="DetVisualizationHook"),
            seed=dict(type="tbd.EpochSeedHook"),
        ),
        env_cfg=dict(mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0)),
        visualizer=dict(
            type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="tiny"
        ),
        randomness=dict(seed=3),
        log_level="WARNING",
    )


def write_config(path: Path, content: dict[str, Any]) -> str:
    """Write a config file and return its path."""
    Config(copy.deepcopy(content)).dump(str(path))
    return str(path)


def process_environment(**extra: str) -> dict[str, str]:
    """Environment of a tool that a test starts: one thread, this checkout of the package."""
    return os.environ | dict(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT)) | extra


def free_port() -> str:
    """A TCP port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])
