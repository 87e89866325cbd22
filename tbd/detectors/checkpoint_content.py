"""Whether what a checkpoint file holds is the content of a checkpoint."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_ADVICE = (
    "A checkpoint of MMDetection is a dict with 'state_dict', names of weights and their tensors, "
    "and 'meta'; take one that a training wrote."
)


def check_content(checkpoint: Any, source: str) -> None:
    """Make sure that weights and meta data of a checkpoint are of the kinds that are read.

    Args:
        checkpoint: What the file holds.
        source: What the user calls it, such as ``"teacher_ckpt='a.pth'"``.

    Raises:
        ValueError: A part is of another kind.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    _expect(weights, Mapping, "state_dict", source)
    if weights is checkpoint and not any(isinstance(item, Tensor) for item in weights.values()):
        places = [str(key) for key, item in weights.items() if _holds_tensors(item)]
        if places:
            raise ValueError(
                f"{source} has no 'state_dict'; it has weights under {', '.join(map(repr, places))}"
                ". Of those that are the detector's make a file by torch.save({'state_dict': "
                f"checkpoint[{places[0]!r}]}}, path), and give that."
            )
    for name, tensor in weights.items():
        _expect(name, str, f"the name {name!r} in state_dict", source)
        # Outside a state_dict there may be more than weights.
        if weights is not checkpoint:
            _expect(tensor, Tensor, f"state_dict[{name!r}]", source)
            if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized:
                raise ValueError(
                    f"{source}: state_dict[{name!r}] is a tensor of layout {tensor.layout} and "
                    f"type {tensor.dtype}, not a dense one of real numbers. {_ADVICE}"
                )
    meta = checkpoint.get("meta")
    if meta is None:
        return
    _expect(meta, Mapping, "meta", source)
    described = meta.get("dataset_meta")
    if described is not None:
        _expect(described, Mapping, "meta.dataset_meta", source)
    classes = (described or {}).get("classes") or meta.get("CLASSES")
    if classes is not None and not isinstance(classes, str):
        _expect(classes, list | tuple, "the class names in meta", source)
        for name in classes:
            _expect(name, str, "a class name in meta", source)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, Tensor) for item in value.values())


def _expect(value: Any, kind: Any, what: str, source: str) -> None:
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", "list")
        raise ValueError(
            f"{source}: {what} is {str(value)[:40]!r}, a {type(value).__name__}, not a {wanted}. "
            f"{_ADVICE}"
        )
