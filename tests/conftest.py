import os
import tempfile

import pytest

import tbd  # noqa: F401  its compatibility layer must be there before any test imports mmdet


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests():
    """Keep what runs remember of data in a folder of the tests, for processes they start too."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TBD_CACHE"] = folder
        yield
        del os.environ["TBD_CACHE"]
