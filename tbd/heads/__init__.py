"""Detection heads that hand losses more than logits."""

from tbd.heads.influence_balanced import InfluenceBalancedBBoxHead

__all__ = ["InfluenceBalancedBBoxHead"]
