"""Pictures of what harmony distillation sees, while it trains."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.detectors import TeacherStudentDetector
from tbd.detectors.modes import evaluating
from tbd.detectors.randomness import isolated_randomness
from tbd.distill import HarmonyDistillation, harmony_maps
from tbd.engine.wrappers import unwrap
from tbd.evaluation.dense_recorder import input_ground_truth
from tbd.harmony import HarmonyScoreHead, Norm, harmony_weight
from tbd.predictions import UnsupportedHeadError, build_adapter, find_dense_head
from tbd.registry import HOOKS
from tbd.visualization.map_pictures import cell_offset, input_picture, map_arrays, map_strides
from tbd.visualization.maps import HARMONY_LIMITS, MapColumn, draw_maps, to_pixels


@HOOKS.register_module()
class HarmonyVisualizationHook(Hook):
    """Draw the harmony maps of teacher and student for the same images every few iterations.

    Each picture shows, per pyramid level, p_c, p_r and the harmony score of both detectors and
    the weight psi of harmony distillation, reduced over the anchors of a location by maximum. It
    goes to every backend of the visualizer: files, TensorBoard, Weights & Biases.

    The images run through both detectors in eval mode. Weights, statistics, random numbers and
    modes of the training stay as they are. Nothing is drawn once distillation has stopped.

    Args:
        interval: Iterations between two pictures of an image.
        images: Numbers of the images, from 0, in the validation data set.
        norm: How logits become a classification probability. Default: as in the model's harmony
            distillation, else ``"softmax"``.

    Raises:
        ValueError: ``interval`` is not positive or there are no images.
    """

    # After the hooks that update the model.
    priority = "LOW"

    def __init__(
        self, interval: int = 500, images: Sequence[int] = (0, 1), norm: Norm | None = None
    ) -> None:
        if interval < 1 or not images:
            raise ValueError(
                f"tbd.HarmonyVisualizationHook: interval={interval} must be at least 1, and "
                f"images={list(images)} must name at least one."
            )
        self.interval = interval
        self.images = tuple(images)
        self.norm = norm
        self._head = HarmonyScoreHead(norm or "softmax")
        self._batches: list[dict[str, Any]] = []

    def before_train(self, runner: Runner) -> None:
        """Load the images.

        Raises:
            ValueError: The model has no teacher, a dense head cannot be read, or there are no
                such validation images.
        """
        model = unwrap(runner.model)
        if not isinstance(model, TeacherStudentDetector):
            raise ValueError(
                "custom_hooks: tbd.HarmonyVisualizationHook is set, but model.type is "
                f"{type(model).__name__}, which has no teacher; remove the hook, or use "
                "model.type='tbd.TeacherStudentDetector'."
            )
        for role, detector in (("student", model.student), ("teacher", model.teacher)):
            try:
                build_adapter(find_dense_head(detector)[1])
            except UnsupportedHeadError as error:
                raise ValueError(
                    f"custom_hooks: tbd.HarmonyVisualizationHook cannot draw the {role}: {error}"
                ) from error
        terms = [t for t in model.terms.values() if isinstance(t, HarmonyDistillation)]
        if self.norm is None and terms:
            self._head = terms[0].harmony_head
        self._load(runner)

    @master_only
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | Sequence[Any] | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Draw, if it is time."""
        model = unwrap(runner.model)
        if not (self.every_n_train_iters(runner, self.interval) and model.distilling):
            return
        with isolated_randomness(), evaluating(model):
            for index, batch in zip(self.images, self._batches, strict=True):
                name, picture = self._draw(model, copy.deepcopy(batch), index, runner.iter + 1)
                runner.visualizer.add_image(name, picture, runner.iter + 1)

    def _load(self, runner: Runner) -> None:
        if runner.val_loop is None:
            raise ValueError(
                "custom_hooks: tbd.HarmonyVisualizationHook draws validation images, but there "
                "is no validation; set val_dataloader, val_cfg and val_evaluator, or remove the "
                "hook."
            )
        dataset = runner.val_loop.dataloader.dataset
        outside = [index for index in self.images if not 0 <= index < len(dataset)]
        if outside:
            raise ValueError(
                f"tbd.HarmonyVisualizationHook: images={outside} are not in the validation data "
                f"set, which has {len(dataset)} images, counted from 0."
            )
        with isolated_randomness():
            self._batches = [pseudo_collate([dataset[index]]) for index in self.images]
        for batch in self._batches:
            input_ground_truth(batch["data_samples"][0])

    @torch.no_grad()
    def _draw(
        self, model: TeacherStudentDetector, batch: dict[str, Any], index: int, step: int
    ) -> tuple[str, np.ndarray]:
        image = input_picture(batch["inputs"][0])
        data = model.data_preprocessor(batch, training=False)
        (sample,), inputs = data["data_samples"], data["inputs"]
        gt_boxes = input_ground_truth(sample).to(inputs)
        views = model.dense_views(inputs, [sample], [gt_boxes])
        student, teacher = (harmony_maps(view, self._head).per_location() for view in views)
        psi = [
            harmony_weight(*level)
            for level in zip(teacher.p_loc, teacher.p_cls, student.p_cls, strict=True)
        ]
        limits = None if self._head.norm == "softmax" else (0.0, 1.0)
        figure = draw_maps(
            image,
            gt_boxes.cpu().numpy(),
            [
                MapColumn("$p_c$ teacher", map_arrays(teacher.p_cls), limits),
                MapColumn("$p_c$ student", map_arrays(student.p_cls), limits),
                MapColumn("$p_r$ teacher", map_arrays(teacher.p_loc)),
                MapColumn("$p_r$ student", map_arrays(student.p_loc)),
                MapColumn("HS teacher", map_arrays(teacher.score), HARMONY_LIMITS),
                MapColumn("HS student", map_arrays(student.score), HARMONY_LIMITS),
                MapColumn(r"$\psi$", map_arrays(psi), (0.0, math.sqrt(2))),
            ],
            map_strides(student.p_cls, inputs.shape[-2]),
            cell_offset(model.student),
            f"image {index}, iteration {step}, norm {self._head.norm}",
        )
        # The name becomes part of a file's name.
        stem = Path(sample.get("img_path", str(index))).stem
        return f"harmony_{index}_{stem}", to_pixels(figure)
