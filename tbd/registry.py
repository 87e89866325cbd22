"""Registries of scope ``tbd``.

They are children of MMEngine's root registries, as MMDetection's own are, so
that a config of any scope can write ``type="tbd.HarmonyDistillation"``.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry("model", parent=MMENGINE_MODELS, scope="tbd", locations=["tbd"])
DATASETS = Registry("dataset", parent=MMENGINE_DATASETS, scope="tbd", locations=["tbd"])
HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope="tbd", locations=["tbd"])
METRICS = Registry("metric", parent=MMENGINE_METRICS, scope="tbd", locations=["tbd"])
TRANSFORMS = Registry("transform", parent=MMENGINE_TRANSFORMS, scope="tbd", locations=["tbd"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor",
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope="tbd",
    locations=["tbd"],
)
