"""Heads whose priors are points, one per location: base of their adapters."""

from collections.abc import Hashable

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator

from tbd.predictions.adapter import UnsupportedHeadError
from tbd.predictions.prior import PriorAdapter


class PointAdapter(PriorAdapter):
    """Base for heads that predict one box per location, relative to a point of a regular grid.

    Args:
        head: A head of MMDetection.

    Raises:
        UnsupportedHeadError: if the head's priors are not points.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        super().__init__(head)
        if not isinstance(self._generator, MlvlPointGenerator):
            raise UnsupportedHeadError(
                f"{type(head).__name__} has a {type(self._generator).__name__} as its "
                f"prior_generator, where {type(self).__name__} expects a MlvlPointGenerator: this "
                "family of heads predicts boxes around points."
            )

    @property
    def prior_layout(self) -> Hashable:
        """Strides of the grids, (horizontal, vertical), and where in its cell a point lies."""
        return ("points", self.strides, self.prior_offset)

    @property
    def prior_offset(self) -> float:
        """Where in its cell a point lies."""
        return float(self._generator.offset)
