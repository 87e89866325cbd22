"""What each method gains over the plain student: every seed, the mean, its interval."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tbd.files import replacing
from tbd.visualization.literal import literal
from tbd.visualization.palette import BETTER, WORSE

_ROW_HEIGHT = 0.38
_GREY = "#777777"


@dataclass(frozen=True)
class Gain:
    """One line of the figure.

    Attributes:
        name: Of the method.
        values: Gain in AP of each seed.
        mean: Their mean.
        half_width: Half of the interval's width; None where a single seed bounds nothing.
    """

    name: str
    values: Sequence[float]
    mean: float
    half_width: float | None


@literal
def draw_gains(panels: Mapping[str, Sequence[Gain]], path: str | os.PathLike[str]) -> None:
    """Draw a panel for each pair and a line for each method.

    Intervals that exclude 0 are filled and blue or red, the others hollow and grey.

    Args:
        panels: Title → gains, all panels on one scale.
        path: File to write, its suffix decides on the format; missing folders are made.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not any(panels.values()):
        raise ValueError("no gains to draw.")
    heights = [len(gains) + 1 for gains in panels.values()]
    # Text as text keeps the file small, and a fixed salt makes equal pictures equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tbd", "font.size": 10}):
        figure = Figure(figsize=(9, _ROW_HEIGHT * sum(heights) + 0.9), layout="constrained")
        grid = figure.subplots(
            len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, (title, gains) in zip(grid[:, 0], panels.items(), strict=True):
            for line, gain in enumerate(gains):
                _draw_line(axes, line, gain)
            axes.axvline(0, color="black", linewidth=0.8, zorder=0)
            axes.set_title(title, loc="left", fontsize=10)
            axes.set_yticks(range(len(gains)), [gain.name for gain in gains])
            axes.set_ylim(len(gains) - 0.4, -0.6)
            axes.grid(axis="x", alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        grid[-1, 0].set_xlabel("gain in AP over the plain student of the same seed")
        # The layout's solver differs in the last digits from call to call, and with them the
        # names of clip paths.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes in grid[:, 0]:
            axes.set_position([round(value, 6) for value in axes.get_position().bounds])
        metadata = {"Date": None} if Path(path).suffix == ".svg" else None
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata)


def _draw_line(axes: mpl.axes.Axes, line: int, gain: Gain) -> None:
    clear = gain.half_width is not None and abs(gain.mean) > gain.half_width
    colour = _GREY if not clear else BETTER if gain.mean > 0 else WORSE
    axes.plot(gain.values, [line + 0.22] * len(gain.values), ".", color=_GREY, markersize=4)
    axes.errorbar(
        gain.mean,
        line,
        xerr=gain.half_width,
        fmt="o",
        color=colour,
        markerfacecolor=colour if clear else "white",
        capsize=4,
    )
