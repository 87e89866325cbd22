"""Compatibility check: whether a teacher and a student can be distilled, tried in seconds."""

from tbd.studies.pairs.probe import BrokenDistillationError
from tbd.studies.pairs.table import text_above_tables, write_pair_tables
from tbd.studies.pairs.trial import PairTrial, TermTrial, try_pair, try_pairs
from tbd.studies.pairs.zoo import OTHER_DETECTORS, shipped_pairs

__all__ = [
    "OTHER_DETECTORS",
    "BrokenDistillationError",
    "PairTrial",
    "TermTrial",
    "shipped_pairs",
    "text_above_tables",
    "try_pair",
    "try_pairs",
    "write_pair_tables",
]
