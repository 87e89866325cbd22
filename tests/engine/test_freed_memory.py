import os
import subprocess
import sys

import pytest
from tiny_run import process_environment

COUNT = """
import resource, sys
import torch
from tbd.engine.freed_memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        # Above the 32 MiB up to which glibc learns to keep blocks by itself.
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
print(keep_freed_memory(), end=" ")
faults()
print(before, faults())
"""

glibc = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="not glibc"
)


def count(**settings):
    environment = {
        name: value
        for name, value in process_environment().items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))
    }
    result = subprocess.run(
        [sys.executable, "-c", COUNT],
        env=environment | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, before, after = result.stdout.split()
    return kept, int(before), int(after)


@glibc
def test_what_is_freed_is_not_asked_for_again():
    kept, before, after = count()
    assert kept == "True"
    # Five times 64 MiB in pages of 4 KiB, or in fewer where pages are larger.
    assert before >= 5 * 32
    assert after < before / 20


@glibc
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_environment_are_left_alone(name):
    value = "8" if name.startswith("MALLOC") else "glibc.malloc.perturb=0"
    kept, before, after = count(**{name: value})
    assert kept == "False"
    assert after > before / 2
