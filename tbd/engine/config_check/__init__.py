"""Mistakes in the config of a run that MMEngine passes over.

Names that nothing reads are no error to MMEngine: configs may hold variables of their own. What is
refused here is a name that nothing reads and that lies near one which is read, and values with
which a run would do nothing or something else than it says. Arguments of the parts of ``tbd`` check
themselves, see :mod:`tbd.arguments`; those of MMDetection's parts when they are built.

:mod:`~tbd.engine.config_check.check` looks through a whole config, by the other modules: one for
each thing that a config describes.
"""

from tbd.engine.config_check.check import check_config
from tbd.engine.config_check.parameters import check_custom_keys

__all__ = ["check_config", "check_custom_keys"]
