"""Attacks on the package, whole as commands and reduced as tests."""

import tbd  # noqa: F401  its compatibility layer must be there before mmdet is imported
