"""Which config trains the better detector: seeds, tables and pictures."""

from tbd.studies.comparison.comparison import compare, compare_terms

__all__ = ["compare", "compare_terms"]
