"""Memory that one training step frees, kept for the next one."""

import ctypes
import os
import sys

# Parameters of mallopt in glibc's malloc.h; it takes their values as C's int.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1

_OWN_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, for all of this process.

    glibc gives large blocks back to the system when they are freed and asks for them anew, so that
    on a CPU every large tensor of every step is mapped, cleared and unmapped again. Results do not
    depend on it. The process keeps about as much memory as it needed at its peak.

    Returns:
        Whether it does now. False on another C library, and where the environment says how memory
        is to be allocated (``MALLOC_…`` or ``GLIBC_TUNABLES``), which is left as it is.
    """
    if sys.platform != "linux" or any(name.startswith(_OWN_SETTINGS) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(name, _LARGEST) for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
