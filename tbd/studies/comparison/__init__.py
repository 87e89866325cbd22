"""Which config trains the better detector: seeds, tables and pictures."""

from tbd.studies.comparison.comparison import compare

__all__ = ["compare"]
