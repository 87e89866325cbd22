"""Data sets that the project writes itself."""

from tbd.datasets.shapes import ShapesDataset, ShapesParameters, write_shapes

__all__ = ["ShapesDataset", "ShapesParameters", "write_shapes"]
