"""The record of every run, and the tables and figures that are made from it alone."""

from tbd.studies.results.collect import collect
from tbd.studies.results.page import write_page

__all__ = ["collect", "write_page"]
