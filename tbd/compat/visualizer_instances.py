"""The visualizer of a run that is over does not take what the next run of the process draws.

MMEngine keeps every visualizer by its name and gives it to whoever asks for that name again, with
the folder of the run that it was made for. MMDetection's configs all say ``name="visualizer"``, so
the scalars and pictures of a second training in one process would go into the folder of the first.
"""

from collections.abc import Mapping
from typing import Any


def forget_visualizer(config: Mapping[str, Any] | None) -> None:
    """Let the visualizer of this config be made anew; who has the earlier one keeps it.

    Args:
        config: ``visualizer`` of a config, with its ``name``, or None.
    """
    if not config:
        return
    # Not above: this package is imported before MMDetection can be.
    from mmdet.registry import VISUALIZERS
    from mmengine.visualization import Visualizer

    kind = config.get("type")
    cls = VISUALIZERS.get(kind) if isinstance(kind, str) else kind
    # The base class holds all of them, and its latest is what hooks take for the run's: a name that
    # is there already would keep its old place.
    for holder in (cls, Visualizer):
        getattr(holder, "_instance_dict", {}).pop(config.get("name"), None)
