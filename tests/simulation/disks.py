"""The workers' local disks: what a process has written is there after it was killed; a folder is one process's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.disk import Change, Disk


class Rows:
    """A database of RocksDB, as far as ``streams.disk`` asks it."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self.holder: object | None = None
        """The process that has it open."""

    def get(self, key: bytes) -> bytes | None:
        return self._rows.get(key)

    def items(self, from_key: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(row for row in self._rows.items() if row[0] >= from_key))

    def write(self, change: Change) -> None:
        for key, value in change.items():
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value

    def close(self) -> None:
        self.holder = None


class Disks:
    """The databases by folder and partition number."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Path, int], Rows] = {}

    def open(self, holder: object, folder: Path, number: int, now_ms: int) -> Disk:
        """Open a database. Raises ``RuntimeError`` where another process has it, as RocksDB does."""
        rows = self._rows.setdefault((folder, number), Rows())
        if rows.holder is not None:
            who = "this process, which has not let go of it" if rows.holder is holder else "another process"
            raise RuntimeError(f"{folder} is held by {who}")
        rows.holder = holder
        return _Disk(rows, now_ms)

    def leave(self, holder: object) -> None:
        """A process ends: what it held is free."""
        for rows in self._rows.values():
            if rows.holder is holder:
                rows.close()


class _Disk(Disk):
    """``streams.disk.Disk`` on rows in memory."""

    def __init__(self, rows: Rows, now_ms: int) -> None:
        self._rows = rows
        super().__init__(Path(), "simulated", now_ms)

    def _open(self, identity: str, now_ms: int) -> Any:
        return self._rows

    def _write(self, change: Change) -> None:
        self._rows.write(change)
