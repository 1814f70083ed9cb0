"""glibc's allocator, told to give memory back: a worker's cuts come and go, its tickets stay.

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
_LARGE_BYTES: Final = 262_144
"""Blocks from here on are of the kernel and go back to it at once: buffers of numpy, of librdkafka, of the shelf."""


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
        library.mallopt(_TRIM_THRESHOLD, _LARGE_BYTES)
