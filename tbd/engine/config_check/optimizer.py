"""The optimizer of a config: its arguments, and how gradients are clipped."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from mmengine.registry import OPTIMIZERS
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tbd.arguments import check_value
from tbd.engine.config_check.values import check_rate, is_number, refuse_unknown, shorten

# Name of the limit and the function of each kind of clipping.
_CLIPPING: dict[str, tuple[str, Callable[..., Any]]] = {
    "norm": ("max_norm", clip_grad_norm_),
    "value": ("clip_value", clip_grad_value_),
}


def check_optimizer(wrapper: Mapping[str, Any]) -> None:
    """Check the optimizer itself; see :mod:`.parameters` for what it does to single parameters.

    Args:
        wrapper: The config's ``optim_wrapper``.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: The optimizer does not take an argument, or a value would train nothing or
            do harm.
    """
    optimizer = wrapper.get("optimizer")
    if isinstance(optimizer, Mapping):
        _refuse_unknown_arguments(optimizer)
        if "lr" in optimizer:
            check_rate(optimizer["lr"], "optim_wrapper.optimizer.lr")
            if optimizer["lr"] == 0:
                raise ValueError(
                    "optim_wrapper.optimizer.lr=0 trains nothing: the student would be exported "
                    "with the weights that it starts from; set a positive rate."
                )
        momentum: Any = optimizer.get("momentum")
        if is_number(momentum) and not 0 <= momentum < 1:
            raise ValueError(
                f"optim_wrapper.optimizer.momentum={momentum} must be 0 or more and below 1."
            )
    _check_clipping(wrapper.get("clip_grad"), "optim_wrapper.clip_grad")


def _refuse_unknown_arguments(optimizer: Mapping[str, Any]) -> None:
    """Refuse what an optimizer does not take, such as what is inherited of another type."""
    kind = OPTIMIZERS.get(optimizer["type"]) if isinstance(optimizer.get("type"), str) else None
    if isinstance(kind, type):
        remedy = " What is inherited goes with optim_wrapper.optimizer._delete_=True."
        refuse_unknown(optimizer, kind, "optim_wrapper.optimizer", remedy=remedy)


def _check_clipping(settings: Any, key: str) -> None:
    """Check what MMEngine passes on to PyTorch, which clips at a negative norm as well."""
    check_value(settings, dict[str, Any] | None, key)
    if settings is None:
        return
    kind = settings.get("type", "norm")
    check_value(kind, Literal["norm", "value"], f"{key}.type")
    limit, function = _CLIPPING[kind]
    refuse_unknown(settings, function, key)
    if limit not in settings:
        raise ValueError(f"{key}={shorten(dict(settings))} needs {limit}, above which it clips.")
    check_value(settings[limit], float, f"{key}.{limit}")
    if settings[limit] <= 0:
        raise ValueError(
            f"{key}.{limit}={settings[limit]} must be positive: gradients would be turned round, "
            "or be nothing."
        )
