"""The check of a config in trainings that no tool of ``tbd`` starts."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.engine.config_check import check_config, check_custom_keys
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
        names = [name for name, _ in runner.model.named_parameters()]
        check_custom_keys(runner.cfg.get("optim_wrapper") or {}, names)
