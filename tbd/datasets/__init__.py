"""Data sets that the project writes itself or reads in a way of its own."""

from tbd.datasets.class_counts import count_instances
from tbd.datasets.handwritten_digits import DigitsDataset, MNISTDataset
from tbd.datasets.labelled_images import LabelledImages
from tbd.datasets.semantic_map import SemanticMapFromMasks
from tbd.datasets.shapes import ShapesDataset, ShapesParameters, write_shapes

__all__ = [
    "DigitsDataset",
    "LabelledImages",
    "MNISTDataset",
    "SemanticMapFromMasks",
    "ShapesDataset",
    "ShapesParameters",
    "count_instances",
    "write_shapes",
]
