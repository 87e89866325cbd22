"""What a training step of each distillation costs beside one of its student alone."""

from collections.abc import Sequence

from mmdet.registry import DATASETS

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.detectors.quiet import quiet_logger
from tbd.studies.comparison.runs import Run
from tbd.studies.step_cost import measure_times
from tbd.studies.trial_step import StepBatch

_ROUNDS = 5


def step_costs(runs: Sequence[Run]) -> dict[Run, float]:
    """Time distilled and plain steps in turn, on noise of the size of the training's batches.

    Plain and distilled steps take turns, so that what else the machine does slows both.

    Args:
        runs: Runs whose training data is at hand; plain detectors among them are passed over.

    Returns:
        Run → median time of a distilled step, divided by that of a step of its student alone.
    """
    costs = {}
    for run in runs:
        cfg = run.load()
        if cfg.model.type not in WRAPPER_TYPES:
            continue
        sample = DATASETS.build(cfg.train_dataloader.dataset)[0]
        height, width = sample["inputs"].shape[-2:]
        boxes = max(1, len(sample["data_samples"].gt_instances))
        batch = StepBatch(cfg.train_dataloader.batch_size, height, width, boxes)
        with quiet_logger():
            times = measure_times(cfg.model, batch, _ROUNDS, lambda line: None)
        costs[run] = times.over_plain
    return costs
