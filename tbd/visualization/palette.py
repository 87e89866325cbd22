"""Colours that colour-blind eyes tell apart."""

from typing import Any

from matplotlib.colors import Colormap, LinearSegmentedColormap

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2")
"""Okabe and Ito's colours; black, for text, and yellow, which vanishes on white, are left out."""

_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_MARKERS = "osD^vP"

WORSE, BETTER = "#D55E00", "#0072B2"
"""Colours of the worse and the better of two boxes."""


def sequential() -> Colormap:
    """Light to dark blue, all darker than white paper: lightness alone tells the values apart."""
    return LinearSegmentedColormap.from_list(
        "blues", ["#D8E9F5", "#A9CFE9", "#5DA3D1", "#0072B2", "#00334F"]
    )


def line_look(index: int) -> dict[str, Any]:
    """Colour, line style and marker of line number ``index``, which differ without colour too."""
    number = index % len(_LINES)
    # From the seventh line on, colours come again with other styles.
    style = (index + index // len(_LINES)) % len(_STYLES)
    return {"color": _LINES[number], "linestyle": _STYLES[style], "marker": _MARKERS[style]}
