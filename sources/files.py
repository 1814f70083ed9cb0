"""Reading files of events: JSONL, JSONL.gz or standard input, in batches of numbered lines."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_BATCH_BYTES: Final = 1 << 20


class InputError(Exception):
    """A file that cannot be read; says which, where and why."""


class Batch(NamedTuple):
    """Some lines of a file."""

    first_line: int
    """The number of the first line, from 1."""
    lines: list[bytes]
    """Without their ends; an empty line is empty bytes."""
    read_bytes: int
    """How much of the file is read by now, as it lies on the disk."""


def size_bytes(name: str) -> int | None:
    """How large a file is on the disk; None of standard input and of what is no plain file."""
    path = Path(name)
    return path.stat().st_size if name != STDIN and path.is_file() else None


def read_batches(name: str) -> Iterator[Batch]:
    """The lines of a file, about a mebibyte at a time; ``-`` is standard input. Gzip is known by its first bytes.

    Raises :class:`InputError`.
    """
    number = 1
    try:
        with _opened(name) as raw:
            source = _Counted(raw)
            buffered = io.BufferedReader(source, _BATCH_BYTES)  # type: ignore[type-var]
            packed = buffered.peek(2)[:2] == _GZIP
            lines: io.BufferedIOBase = gzip.GzipFile(fileobj=buffered) if packed else buffered
            while batch := lines.readlines(_BATCH_BYTES):
                if number == 1:
                    batch[0] = batch[0].removeprefix(_BOM)
                yield Batch(number, [line.rstrip(b"\r\n") for line in batch], source.tell())
                number += len(batch)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: damaged gzip after line {number - 1}: {error}; expected a whole file") from None
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}; expected a readable file of one event a line") from None


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO | io.FileIO]:
    if name == STDIN:
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb", buffering=0) as file:
            yield file


class _Counted(io.RawIOBase):
    """Counts what is read, since what unpacks reads ahead."""

    def __init__(self, below: BinaryIO | io.FileIO) -> None:
        self._below = below
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray) -> int:  # type: ignore[override]
        data = self._below.read(len(into))
        into[: len(data)] = data
        self._read += len(data)
        return len(data)

    def tell(self) -> int:
        return self._read
