"""The check of a config in trainings that no tool of ``tbd`` starts."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.runner import Runner

from tbd.arguments import advice
from tbd.engine.config_check import check_config, check_custom_keys
from tbd.engine.effects import check_effects
from tbd.registry import HOOKS


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """Refuse a config with names that nothing reads, or values that do nothing, before training.

    See :func:`tbd.engine.check_config`, which the tools of ``tbd`` call before they build anything.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner: Runner) -> None:
        """Check the config, and what it says of the parameters, now that these are known.

        Raises:
            ValueError: A name is misspelt, or a value has no effect or a harmful one.
        """
        check_config(runner.cfg)
        for warning in check_effects(runner):
            runner.logger.warning(warning)
        names = [name for name, _ in runner.model.named_parameters()]
        unused = check_custom_keys(runner.cfg.get("optim_wrapper") or {}, names)
        if unused:
            runner.logger.warning(
                f"optim_wrapper.paramwise_cfg.custom_keys {unused} are part of no parameter's name "
                f"and set nothing; names begin as {names[0]!r} does. Remove or correct them."
            )

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        """Look at what the hooks of a training want to know of a validation, once it is known.

        Raises:
            ValueError: A hook waits for a metric that there is not.
        """
        for hook in runner.hooks:
            wanted: list[tuple[str, str]] = []
            if isinstance(hook, CheckpointHook) and hook.save_best is not None:
                wanted = [("save_best", key) for key in hook.key_indicators if key != "auto"]
            elif isinstance(hook, EarlyStoppingHook):
                wanted = [("monitor", hook.monitor)]
            for argument, key in wanted:
                if metrics and key not in metrics:
                    raise ValueError(
                        f"{argument}={key!r} of {type(hook).__name__} is no metric of this "
                        f"validation; {advice(key, metrics)}"
                    )
