"""How the losses of a training went: the student's own and those of the terms."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tbd.visualization.literal import literal
from tbd.visualization.palette import line_look

_COLUMNS = 3
_POINTS = 60

Curve = tuple[Sequence[float], Sequence[float]]


@literal
def draw_training_curves(panels: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Draw a panel for each training and a line for each loss, on a logarithmic axis.

    Of a long training the means of its sixtieths are drawn.

    Args:
        panels: Name of the training → name of the loss → iterations and values.

    Raises:
        ValueError: There is no training.
    """
    if not panels:
        raise ValueError("nothing to draw: no training logged a loss.")
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for panel in axes.flat[len(panels) :]:
        panel.set_axis_off()
    for panel, (title, curves) in zip(axes.flat, panels.items(), strict=False):
        for index, (name, (steps, values)) in enumerate(curves.items()):
            parts = min(_POINTS, len(values))
            x, y = (
                [float(np.mean(part)) for part in np.array_split(np.asarray(numbers), parts)]
                for numbers in (steps, values)
            )
            look = line_look(index) | dict(marker=None)
            panel.plot(x, y, label=name, lw=1.3, **look)
        panel.set_yscale("log")
        panel.set_title(title, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.grid(color="0.9", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=6.5, frameon=False)
    figure.supxlabel("iteration", fontsize=9)
    figure.supylabel("loss, weighted as in the total", fontsize=9)
    return figure
