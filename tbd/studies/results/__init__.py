"""The record of every run, and the tables and figures that are made from it alone."""

from tbd.studies.results.collect import collect
from tbd.studies.results.measurements import STUDIES, collect_measurements
from tbd.studies.results.page import write_page
from tbd.studies.results.record import read_records
from tbd.studies.results.table import compare_records

__all__ = [
    "STUDIES",
    "collect",
    "collect_measurements",
    "compare_records",
    "read_records",
    "write_page",
]
