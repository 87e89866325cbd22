"""How far the scores of detectors agree with the placement of their boxes."""

from tbd.studies.harmony.analysis import analyze
from tbd.studies.harmony.measurement import AnalysisSettings, Subject

__all__ = ["AnalysisSettings", "Subject", "analyze"]
