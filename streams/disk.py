"""Tickets at rest on the local disk (RocksDB, by ``rocksdict``): for more of them than are to be held in memory.

One database a partition holds what its two changelogs hold: the tickets, the customers, and the few other records.
It never holds more than what was committed: what a cut has changed stays in memory until its transaction is committed,
and is then written at once. It also knows an offset of each changelog up to which it surely has everything, so that a
worker which gets the partition again reads only what came after it. Whatever is wrong with a database (another topic,
too old, no longer readable), it is deleted, and everything is read from Kafka: the disk is a cache.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

Change: TypeAlias = dict[bytes, bytes | None]
"""Keys of the database and what is to stand there; None: nothing."""

_LOG: Final = logging.getLogger(__name__)
_ABOUT: Final = b"a"
"""First byte of the keys that say what the database is."""
_OLDEST_MS: Final = 20 * 3_600_000
"""What was not written for so long is not used: tombstones may be gone (``delete.retention.ms`` is a day)."""
_BUFFER_BYTES: Final = 4 << 20
_CACHE_BYTES: Final = 32 << 20
_AT_ONCE: Final = 20_000
"""So many changes of a restore are written together."""


class Disk:
    """The database of one partition. ``identity`` says of which topics it is; of others it is not used."""

    def __init__(self, folder: Path, identity: str, now_ms: int) -> None:
        self._folder = folder
        self._fresh: Change = {}
        self._leaving: list[Change] = []
        self.restoring = True
        """Whether what comes is committed already."""
        self._db = self._open(identity, now_ms)

    def _open(self, identity: str, now_ms: int) -> Rdict:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            db = Rdict(str(self._folder), _options())
            about = db.get(_ABOUT + b"identity")
            written_at = int(db.get(_ABOUT + b"written_at_ms") or 0)
            if about == identity.encode() and now_ms - written_at < _OLDEST_MS:
                return db
            if about is not None:
                _LOG.info("the state in %s is too old or of other topics: it is read from Kafka", self._folder)
            db.close()
        except Exception as error:  # RocksDB's errors have no class of their own.
            if "lock" in str(error).casefold():
                raise RuntimeError(
                    f"{self._folder} is held by another process; give each worker its own folder"
                ) from None
            _LOG.warning("the state in %s can't be opened (%s): it is read from Kafka", self._folder, error)
        shutil.rmtree(self._folder)
        db = Rdict(str(self._folder), _options())
        db[_ABOUT + b"identity"] = identity.encode()
        return db

    def about(self, name: str) -> bytes:
        """What was noted of the database by :meth:`settle`, empty without it."""
        found: bytes | None = self._db.get(_ABOUT + name.encode())
        return found or b""

    def offset(self, topic: str) -> int:
        """Up to this offset of the changelog everything is here; 0 for nothing."""
        return int(self.about(f"offset-{topic}") or 0)

    def get(self, key: bytes) -> bytes | None:
        """What stands under a key."""
        if key in self._fresh:
            return self._fresh[key]
        for change in reversed(self._leaving):
            if key in change:
                return change[key]
        found: bytes | None = self._db.get(key)
        return found

    def put(self, key: bytes, value: bytes | None) -> None:
        """Let something stand there from the next commit on."""
        self._fresh[key] = value
        if self.restoring and len(self._fresh) >= _AT_ONCE:
            self._write(self._fresh)
            self._fresh = {}

    def items(self, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with the byte ``first`` (without it) and their values, of what is written."""
        # In raw mode all keys and values are bytes.
        for key, value in cast(Iterator[tuple[bytes, bytes]], self._db.items(from_key=first)):
            if key[:1] != first:
                return
            yield key[1:], value

    def freeze(self) -> None:
        """A cut was made: what was changed is written once it is committed."""
        if self._fresh:
            self._leaving.append(self._fresh)
            self._fresh = {}

    def committed(self) -> None:
        """All cuts that were made are committed."""
        for change in self._leaving:
            self._write(change)
        self._leaving = []

    def restored(self) -> None:
        """The changelogs were read to their end."""
        self._write(self._fresh)
        self._fresh = {}
        self.restoring = False

    def settle(self, offsets: Mapping[str, int], about: Mapping[str, bytes], now_ms: int) -> None:
        """Note that everything up to these offsets (by topic) is here, and what else is to be known of it."""
        change: Change = {_ABOUT + f"offset-{topic}".encode(): str(at).encode() for topic, at in offsets.items()}
        change |= {_ABOUT + name.encode(): value for name, value in about.items()}
        change[_ABOUT + b"written_at_ms"] = str(now_ms).encode()
        self._write(change)

    def close(self) -> None:
        """Close it; what is not committed is gone."""
        self._db.close()

    def _write(self, change: Change) -> None:
        if not change:
            return
        batch = WriteBatch(raw_mode=True)
        for key, value in change.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._db.write(batch)


class DiskShelf:
    """As ``streams.shelf.Shelf``, on a :class:`Disk`; ``place`` is the first byte of its keys."""

    def __init__(self, disk: Disk, place: bytes) -> None:
        self._disk = disk
        self._place = place
        self._count = 0

    def __len__(self) -> int:
        """How many values; known once :meth:`items` was gone through."""
        return self._count

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None without one."""
        return self._disk.get(self._place + key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        key = self._place + key
        if not self._disk.restoring and self._disk.get(key) is None:
            self._count += 1
        self._disk.put(key, value)

    def pop(self, key: bytes) -> None:
        """Forget a key; nothing happens when there is none."""
        key = self._place + key
        if self._disk.restoring:
            self._disk.put(key, None)
        elif self._disk.get(key) is not None:
            self._count -= 1
            self._disk.put(key, None)

    def tidy(self) -> bool:
        """RocksDB does so by itself."""
        return False

    def settle(self) -> None:
        """Likewise."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of what is committed."""
        count = 0
        for item in self._disk.items(self._place):
            count += 1
            yield item
        self._count = count


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(64)
    options.set_compression_type(DBCompressionType.lz4())
    table = BlockBasedOptions()
    table.set_block_cache(_CACHE)
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options


_CACHE: Final[Any] = Cache(_CACHE_BYTES)
"""One for all partitions."""
