"""The memory of a process whose cuts come and go while its tickets stay: glibc's allocator is told to give memory back,
the cyclic collector to look seldom.

By default glibc keeps an arena for every thread and learns from large blocks that they are to be kept; what a burst
once needed then stays with the process. Where the C library is another one, nothing is done.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any, Final

_ARENA_MAX: Final = -8
_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
_LARGE_BYTES: Final = 786_432
"""Blocks from here on are of the kernel and go back to it at once: buffers of librdkafka and of the shelf. Numpy's are
mostly smaller: to have the kernel make each of them anew took a quarter of the time of a restore."""
_KEPT_FREE_BYTES: Final = 8_388_608
"""So much free memory at an end of the heap is kept, for the same reason."""
_YOUNG_OBJECTS: Final = 500_000
"""State is bytes, which the cyclic collector does not look at; what it does look at rarely is a cycle. With a tenth of
it, looking took 5 % of a backlog's time."""


def _glibc() -> Any | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def give_free_memory_back() -> None:
    """Let all that is free go back to the system, now: what Python holds ready, and the holes between used blocks.

    After a backlog of 125,000 tickets that was 150 MiB, in 16 ms. While there is work it is not worth its time: 1.5 s
    were seen once.
    """
    gc.collect()  # It also empties Python's lists of free tuples and the like, each of which keeps a MiB.
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def give_memory_back() -> None:
    """Let freed memory go back to the system; to be called before threads are started."""
    library = _glibc()
    if library is not None:
        library.mallopt(_ARENA_MAX, 2)
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_FREE_BYTES)


def collect_seldom() -> None:
    """Let the cyclic collector leave alone what is here, and look seldom at what comes; to be called after imports."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(_YOUNG_OBJECTS, 50, 1_000)
