"""How far the scores of detectors agree with the placement of their boxes."""

from tbd.studies.harmony.analysis import AnalysisSettings, Subject, analyze

__all__ = ["AnalysisSettings", "Subject", "analyze"]
