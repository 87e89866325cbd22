"""Codes of an autoencoder in space."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

_ALPHA = 0.8


def draw_codes(
    codes: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str = ""
) -> Figure:
    """Draw three-dimensional codes, each as the first letter of its class.

    So the classes can be told apart without colour too.

    Args:
        codes: [M, 3].
        labels: Class of each, [M].
        classes: Names of the classes.
        title: Title of the figure.

    Raises:
        ValueError: if the codes are not three-dimensional.
    """
    if codes.ndim != 2 or codes.shape[1] != 3:
        raise ValueError(f"codes {list(codes.shape)} must be [M, 3].")
    figure = Figure(figsize=(5.2, 5.0), dpi=110)
    axes = figure.add_axes((0.02, 0.04, 0.92, 0.88), projection="3d")
    colours = matplotlib.colormaps["tab10"]
    for label, name in enumerate(classes):
        x, y, z = codes[labels == label].T
        axes.scatter(
            x,
            y,
            zs=z,
            marker=f"${name[0]}$" if name[:1].isalnum() else "o",
            s=22,
            color=colours(label % 10),
            alpha=_ALPHA,
            linewidths=0.2,
        )
    axes.tick_params(labelsize=6, pad=-2)
    figure.suptitle(title, fontsize=10).set_parse_math(False)
    return figure
