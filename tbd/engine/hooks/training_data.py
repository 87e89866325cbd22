"""The check that a training has something to learn from."""

from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.detectors.classes import plain_datasets
from tbd.engine.data_content import check_content
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS


@HOOKS.register_module()
class TrainingDataCheckHook(Hook):
    """Refuse a training without iterations, without boxes, or with data that would spoil it.

    See :func:`tbd.engine.check_content`, which the tools of ``tbd`` call before they build
    anything.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._warnings: list[str] | None = None

    def take(self, warnings: list[str]) -> None:
        """Take what a check before this run found, so that the annotations are not read again."""
        self._warnings = warnings

    def before_train(self, runner: Runner) -> None:
        """Look at the annotation files, then at what MMDetection made of them.

        Raises:
            ValueError: There is nothing to learn from, or the data would spoil the training.
        """
        for warning in check_content(runner.cfg) if self._warnings is None else self._warnings:
            runner.logger.warning(warning)
        loader = runner.train_dataloader
        if not len(loader):
            raise ValueError(
                f"train_dataloader yields no batch: {len(loader.dataset)} images, "
                f"batch_size={loader.batch_size}, drop_last={loader.drop_last}. MMDetection leaves "
                "out images without boxes or smaller than filter_cfg.min_size; mend the data, or "
                "set a smaller batch_size or drop_last=False."
            )
        if not isinstance(unwrap(runner.model), BaseDetector):
            return
        plain = list(plain_datasets(loader.dataset))
        if all(hasattr(part, "get_data_info") for part in plain) and not any(map(_teaches, plain)):
            files = ", ".join(str(getattr(part, "ann_file", type(part).__name__)) for part in plain)
            raise ValueError(
                f"train_dataloader.dataset ({files}) holds {sum(map(len, plain))} images and no "
                "box that a detector could learn from: none of a class of metainfo.classes, of "
                "some area, and not marked as crowd or difficult. Mend the annotations or "
                "metainfo.classes."
            )


def _teaches(dataset: Any) -> bool:
    """Whether any image has a box that counts; looks no further than the first."""
    for index in range(len(dataset)):
        for instance in dataset.get_data_info(index).get("instances", ()):
            if not instance.get("ignore_flag"):
                return True
    return False
