"""Building of detectors without the lines that MMEngine writes of each of their layers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger


@contextmanager
def quiet_logger() -> Iterator[None]:
    """Let MMEngine's logger say nothing below an error inside the context."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
