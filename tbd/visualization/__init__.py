"""Pictures of what detectors see."""

from tbd.visualization.comparison import Boxes, draw_comparison

__all__ = ["Boxes", "draw_comparison"]
