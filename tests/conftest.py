import os
import tempfile

import pytest
from mmengine.registry import DefaultScope

import tbd  # noqa: F401  its compatibility layer must be there before any test imports mmdet


@pytest.fixture(scope="module", autouse=True)
def _scope_of_its_own():
    """Forget the registry scope that a Runner of the tests before has set."""
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests():
    """Keep what runs remember of data in a folder of the tests, for processes they start too."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TBD_CACHE"] = folder
        yield
        del os.environ["TBD_CACHE"]
