"""Summaries of dense predictions for the harmony metric."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.engine.wrappers import unwrap
from tbd.evaluation.dense_recorder import DenseRecorder
from tbd.predictions import UnsupportedHeadError
from tbd.registry import HOOKS


@HOOKS.register_module()
class DensePredictionsHook(Hook):
    """Show ``tbd.HarmonyMetric(dense=True)`` what the dense head predicts before NMS.

    During validation and test every sample gets a summary of some kilobytes; the dense
    predictions themselves are not kept. Of a two-stage detector they are the RPN's.

    Args:
        score_thr: Smallest score of a dense prediction that counts, in [0, 1]; the metric must
            have the same.
    """

    def __init__(self, score_thr: float = 0.3) -> None:
        self.score_thr = score_thr
        self._recorder: DenseRecorder | None = None

    def before_val_epoch(self, runner: Runner) -> None:
        """Start to read.

        Raises:
            ValueError: The detector has no dense head that can be read.
        """
        try:
            self._recorder = DenseRecorder(unwrap(runner.model), self.score_thr)
        except UnsupportedHeadError as error:
            raise ValueError(
                f"custom_hooks: tbd.DensePredictionsHook is set, but {error} Remove the hook and "
                "set dense=False in tbd.HarmonyMetric."
            ) from error
        self._recorder.__enter__()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        """Stop reading."""
        if self._recorder is not None:
            self._recorder.__exit__()
            self._recorder = None

    before_test_epoch = before_val_epoch
    after_test_epoch = after_val_epoch
