"""How the losses of distillation terms stand to the student's own, and weights set by it."""

from tbd.detectors.balance.term_balance import TermBalance

__all__ = ["TermBalance"]
