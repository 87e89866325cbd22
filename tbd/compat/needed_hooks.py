"""Hooks that a Runner registers whatever its config says."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


def bring_hooks(hooks: Mapping[str, type[Hook]], trains: type) -> None:
    """Let every Runner of one kind of model register hooks that its config may not have.

    It is the Runner that brings them, not a tool, so that MMDetection's own ``train.py`` does so
    too. They are not written into the config. A hook that the config has under any name is left
    as the config sets it; ``default_hooks=dict(name=None)`` is how a config does without one.
    Calling it again changes nothing.

    Args:
        hooks: Classes of hooks that need no arguments, by their names in ``default_hooks``.
        trains: Class of the models that need them.
    """
    original = Runner.register_hooks
    if getattr(original, "mended", False):
        return

    @functools.wraps(original)
    def register_hooks(
        self: Runner,
        default_hooks: Mapping[str, Any] | None = None,
        custom_hooks: list[Any] | None = None,
    ) -> None:
        configured = dict(default_hooks or {})
        # MMEngine knows None for its own default hooks alone.
        off = [name for name in hooks if name in configured and configured[name] is None]
        for name in off:
            del configured[name]
        original(self, configured, custom_hooks)
        if isinstance(getattr(self.model, "module", self.model), trains):
            register_missing(self, hooks, off)

    register_hooks.mended = True  # type: ignore[attr-defined]
    Runner.register_hooks = register_hooks


def register_missing(runner: Runner, hooks: Mapping[str, type[Hook]], off: Iterable[str]) -> None:
    """Register hooks that a Runner does not have yet.

    Args:
        runner: The Runner, with the hooks of its config.
        hooks: Classes of hooks that need no arguments, by their names in ``default_hooks``.
        off: Names of those that the config does without, of which a warning is logged.
    """
    model = type(getattr(runner.model, "module", runner.model)).__name__
    for name, kind in hooks.items():
        if any(isinstance(hook, kind) for hook in runner.hooks):
            continue
        if name in off:
            runner.logger.warning(
                f"default_hooks.{name}=None: this {model} runs without {kind.__name__}, which it "
                "needs to be right; leave the key out to have it."
            )
        else:
            runner.register_hook(kind())
