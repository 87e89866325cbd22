"""What of a teacher's lead on its students lies in the scores, and what in the boxes."""

from tbd.studies.gap.exchange import Exchange, check_exchangeable, measure_exchange
from tbd.studies.gap.gap import finished_exchanges, format_gap, measure_gap

__all__ = [
    "Exchange",
    "check_exchangeable",
    "finished_exchanges",
    "format_gap",
    "measure_exchange",
    "measure_gap",
]
