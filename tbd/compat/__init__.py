"""The ground that MMDetection stands on, made firm.

The only code of the project that reaches into the internals of mmcv, MMEngine and MMDetection.
It checks that one distribution of MMDetection is installed, gives mmcv operators where it was
installed without them, reads checkpoints without ever running what they carry, finds the configs
that ship inside the package and reads model indexes once, lets SSD predict, and lets Runners bring
hooks that a model needs.
"""

from tbd.compat.checkpoint import (
    UnsafeCheckpointError,
    allow_mmengine_checkpoints,
    load_checkpoint,
)
from tbd.compat.distribution import check_distribution
from tbd.compat.empty_data import name_empty_data
from tbd.compat.extension import provide_extension
from tbd.compat.mmengine_loading import load_safely
from tbd.compat.model_index import read_model_index_once
from tbd.compat.needed_hooks import bring_hooks, register_missing
from tbd.compat.notices import import_quietly
from tbd.compat.packaged_configs import allow_packaged_configs, configs_dir
from tbd.compat.pickled_files import read_pickles_as_data
from tbd.compat.ssd import mend_ssd_prediction
from tbd.compat.visualizer_instances import forget_visualizer
from tbd.compat.yaml_configs import read_yaml_as_data

__all__ = [
    "UnsafeCheckpointError",
    "bring_hooks",
    "check_distribution",
    "configs_dir",
    "forget_visualizer",
    "import_quietly",
    "install",
    "load_checkpoint",
    "mend_ssd_prediction",
    "register_missing",
]


def install() -> None:
    """Make mmcv and MMEngine usable; to be called before mmdet is imported.

    Provides the module ``mmcv._ext`` if, and only if, mmcv has none, lets MMEngine read
    checkpoints, YAML and pickled files as data, allows its own checkpoints under that rule and
    configs to be named ``tbd::…``, and lets it say which data set is empty. Calling it again
    changes nothing.
    """
    provide_extension()
    allow_mmengine_checkpoints()
    load_safely()
    read_yaml_as_data()
    read_pickles_as_data()
    read_model_index_once()
    allow_packaged_configs()
    name_empty_data()
