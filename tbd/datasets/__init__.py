"""Data sets that the project writes itself."""

from tbd.datasets.class_counts import count_instances
from tbd.datasets.semantic_map import SemanticMapFromMasks
from tbd.datasets.shapes import ShapesDataset, ShapesParameters, write_shapes

__all__ = [
    "SemanticMapFromMasks",
    "ShapesDataset",
    "ShapesParameters",
    "count_instances",
    "write_shapes",
]
