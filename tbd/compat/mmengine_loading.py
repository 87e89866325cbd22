"""Checkpoints that MMEngine loads by itself are read as data too."""

import os
from typing import Any

import torch

from tbd.compat.checkpoint import read_checkpoint
from tbd.compat.download import download


class _Torch:
    """``torch`` with a ``load`` that reads data."""

    def load(self, file: Any, map_location: Any = None, **_: Any) -> dict[str, Any]:
        return read_checkpoint(file, map_location)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def load_from_http(filename: str, map_location: Any = None, **_: Any) -> dict[str, Any]:
    """Load a checkpoint from a URL, in place of MMEngine's function of this name."""
    return read_checkpoint(download(os.fspath(filename)), map_location)


def load_safely() -> None:
    """Let every way in which MMEngine loads a checkpoint read data and never run code.

    That is ``load_from`` and ``resume`` of a Runner, ``init_cfg=dict(type="Pretrained")``,
    ``load_checkpoint``, ``init_detector`` and the inferencers, whether the file is local or named
    by a URL or by a prefix that MMEngine knows (``torchvision://``, ``open-mmlab://``,
    ``mmcls://``, ``s3://`` …). MMEngine of OpenMMLab loads with PyTorch's default, which runs
    code before torch 2.6; OneDL's falls back to running code. PyTorch's own ``torch.load`` stays
    as it is. Calling it again changes nothing.
    """
    from mmengine.runner import checkpoint

    # All its loaders look these names up in their module.
    checkpoint.torch = _Torch()
    checkpoint.load_from_http = load_from_http
    if hasattr(checkpoint, "_safe_torch_load"):  # OneDL
        checkpoint._safe_torch_load = checkpoint.torch.load
    checkpoint.CheckpointLoader.register_scheme(
        prefixes=("http://", "https://"), loader=load_from_http, force=True
    )
