"""Class counts of the training set for losses that are weighted by them."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.datasets.class_counts import count_instances
from tbd.engine.wrappers import unwrap
from tbd.losses.class_balance import with_background
from tbd.losses.softmax_loss import SoftmaxLoss
from tbd.registry import HOOKS


@HOOKS.register_module()
class ClassCountsHook(Hook):
    """Count the training set's boxes for every loss with ``class_counts="auto"``.

    The background, a detector's last class, is counted as the mean of the others: class weights
    then change the balance among the foreground classes and leave the one between foreground and
    background to the sampler, see :func:`tbd.losses.class_balance.with_background`.

    Args:
        min_count: Smaller counts are raised to this one, which must be above 0. None: a class
            without boxes is an error.
    """

    def __init__(self, min_count: float | None = None) -> None:
        self.min_count = min_count

    def before_train(self, runner: Runner) -> None:
        """Count, set the weights, and log both.

        Raises:
            ValueError: A class has no boxes, and ``min_count`` does not say what to do.
        """
        losses = [
            part
            for part in unwrap(runner.model).modules()
            if isinstance(part, SoftmaxLoss) and part.awaits_class_counts
        ]
        if not losses:
            return
        dataset = runner.train_dataloader.dataset
        runner.logger.info(f"counting the boxes of {len(dataset)} training images")
        counts = count_instances(dataset)
        classes = dataset.metainfo["classes"]
        empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
        if empty and self.min_count is None:
            raise ValueError(
                f"class_counts='auto': the training set holds no box of {', '.join(empty)}; leave "
                "these classes out, set tbd.ClassCountsHook's min_count (1 weighs them as classes "
                "of one box), or give the loss its class_counts"
            )
        raised = [max(count, self.min_count or 0) for count in counts]
        for loss in losses:
            loss.set_class_counts(with_background(raised))
        weights = losses[0].class_weight or ()
        listed = ", ".join(
            f"{name} {count} → {weight:.3g}"
            for name, count, weight in zip(
                (*classes, "background"), (*counts, "–"), weights, strict=True
            )
        )
        runner.logger.info(f"boxes of the training set → class weights: {listed}")
