"""How the detectors of a distillation are executed: the options, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import torch

from tbd.arguments import check_value

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Names of precisions that a teacher can be run in."""


@dataclass(frozen=True)
class CompileOptions:
    """How ``torch.compile`` is used.

    Attributes:
        mode: Mode of ``torch.compile``: ``"default"``, ``"reduce-overhead"``,
            ``"max-autotune"`` or ``"max-autotune-no-cudagraphs"``.
        max_shapes: Input shapes that are each compiled for themselves, from 0 to 7.
            All others share one graph of variable size.
        backend: Backend of ``torch.compile``.
    """

    mode: str = "default"
    max_shapes: int = 4
    backend: str = "inductor"

    @classmethod
    def of(cls, value: Any, key: str) -> "CompileOptions | None":
        """Read the value of a config key: a switch, a mode, or options by name."""
        check_value(value, bool | str | Mapping[str, Any] | None, key)
        if not value:
            return None
        given = {"mode": value} if isinstance(value, str) else value
        options = cls() if given is True else _build(cls, given, key)
        modes = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
        if options.mode not in modes:
            raise ValueError(f"{key}.mode={options.mode!r} is unknown; choose of {modes}.")
        # TorchDynamo gives up on a function after eight graphs of one module.
        if not 0 <= options.max_shapes <= 7:
            raise ValueError(f"{key}.max_shapes={options.max_shapes} must be from 0 to 7.")
        return options


@dataclass(frozen=True)
class TeacherExecution:
    """How a frozen teacher is executed.

    Attributes:
        fold_norms: Fold batch norms into the convolutions before them, once the
            first batch has shown that the outputs stay equal to 1e-5.
        pack_weights: On a CPU, keep the weights of convolutions in the layout in which they
            are computed, where a trial of each has shown that it stays equal to 1e-5, until
            someone looks at them. In float32 only, and not with ``compile``.
        channels_last: Keep images and weights with the channels innermost.
        dtype: ``"bf16"`` or ``"fp16"``: weights and forward in half precision;
            ``"fp32"``: full precision, under mixed precision too; None: that of
            the training. Terms read float32 whichever it is.
        compile: Compile backbone, neck and dense head by ``torch.compile``: True, a
            mode, or options, see :class:`CompileOptions`.
        stream: On CUDA, run beside the student in a stream of its own. Without
            effect elsewhere.

    Raises:
        ValueError: if a value is unknown.
    """

    fold_norms: bool = True
    pack_weights: bool = True
    channels_last: bool = False
    dtype: str | None = None
    compile: Any = None
    stream: bool = False

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(
                f"teacher_execution.dtype={self.dtype!r} is unknown; choose one of "
                f"{', '.join(DTYPES)} or None."
            )
        compiling = CompileOptions.of(self.compile, "teacher_execution.compile")
        object.__setattr__(self, "compile", compiling)

    @property
    def packs(self) -> bool:
        """Whether weights are to be packed; in bfloat16, packed ones are slower."""
        return self.pack_weights and not self.compile and self.dtype not in ("bf16", "fp16")

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> "TeacherExecution":
        """Read ``model.teacher_execution``."""
        return _build(cls, options or {}, "teacher_execution")


@dataclass(frozen=True)
class StudentExecution:
    """How the student is executed while it trains.

    Attributes:
        channels_last: Keep images and weights with the channels innermost.
        compile: As of :class:`TeacherExecution`.

    Raises:
        ValueError: if a value is unknown.
    """

    channels_last: bool = False
    compile: Any = None

    def __post_init__(self) -> None:
        compiling = CompileOptions.of(self.compile, "student_execution.compile")
        object.__setattr__(self, "compile", compiling)

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> "StudentExecution":
        """Read ``model.student_execution``."""
        return _build(cls, options or {}, "student_execution")


def _build(cls: Any, options: Any, key: str) -> Any:
    known = [field.name for field in fields(cls)]
    if not isinstance(options, Mapping) or set(options) - set(known):
        raise ValueError(f"{key}={options!r} must be a dict of some of {', '.join(known)}.")
    hints = get_type_hints(cls)
    for name, value in options.items():
        check_value(value, hints[name], f"{key}.{name}")
    return cls(**options)
