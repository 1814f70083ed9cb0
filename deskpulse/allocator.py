"""The memory of a process whose cuts come and go while its tickets stay: told to glibc's allocator and the collector.

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
_BUSY_BYTES: Final = 4_194_304, 16_777_216
"""Blocks from so many bytes on are of the kernel and go back to it at once; so many free ones are kept at an end of the
heap. Smaller ones make the kernel give the buffers of numpy, of librdkafka and of the shelf anew each time: a third of
the time of a restore."""
_RESTING_BYTES: Final = 786_432, 8_388_608
"""The same while nothing but what comes in is to be done: buffers of the shelf are of the kernel."""
_YOUNG_OBJECTS: Final = 500_000
"""State is bytes, which the cyclic collector does not look at; what it does look at rarely is a cycle. With a tenth of
it, looking took 5 % of a backlog's time."""


def _glibc() -> Any | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def hold_memory() -> None:
    """Keep what is freed at hand, since much is to be done; at first to be called before threads are started."""
    _set(*_BUSY_BYTES)


def give_memory_back() -> None:
    """Let all that is free go back to the system, now: what Python holds ready, and the holes between used blocks.

    From now on large blocks go back when they are freed. After a backlog of 125,000 tickets it was 150 MiB, in 16 ms;
    while there is work it is not worth its time: 1.5 s were seen once.
    """
    gc.collect()  # It also empties Python's lists of free tuples and the like, each of which keeps a MiB.
    library = _set(*_RESTING_BYTES)
    if library is not None:
        library.malloc_trim(0)


def _set(large_bytes: int, kept_free_bytes: int) -> Any | None:
    library = _glibc()
    if library is not None:
        library.mallopt(_ARENA_MAX, 2)
        library.mallopt(_MMAP_THRESHOLD, large_bytes)
        library.mallopt(_TRIM_THRESHOLD, kept_free_bytes)
    return library


def collect_seldom() -> None:
    """Let the cyclic collector leave alone what is here, and look seldom at what comes; to be called after imports."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(_YOUNG_OBJECTS, 50, 1_000)
