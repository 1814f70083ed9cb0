"""Sending rows again that ClickHouse did not take: each with the place that it had, so that newer rows stay newer.

To publish an output a second time would make it the newest of its ticket or cell, which it is not any more. Inserted
with its own partition and offset it replaces only what is older, and inserted twice it replaces itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deskpulse.dlq.letters import Letter
from sinks.clickhouse import ClickHouseSink, InsertFailedError
from sinks.rows import BadOutputError


@dataclass(frozen=True)
class _Record:
    """The record that a letter was, as the sink reads it."""

    letter: Letter

    def value(self) -> bytes | None:
        return self.letter.value

    def key(self) -> bytes | None:
        return self.letter.key

    def offset(self) -> int:
        return self.letter.origin_offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self.letter.origin_timestamp_ms


class Rows:
    """Writes letters into their tables. ClickHouse is opened when the first one comes."""

    def __init__(self, open_sink: Callable[[], ClickHouseSink]) -> None:
        self._open_sink = open_sink
        self._sink: ClickHouseSink | None = None

    def insert(self, letters: Sequence[Letter]) -> list[Letter]:
        """Insert their rows and return the letters whose rows are refused again.

        Raises ``InsertFailedError`` and ``UnreachableError`` when ClickHouse is away.
        """
        if not letters:
            return []
        if self._sink is None:
            self._sink = self._open_sink()
        try:
            self._sink.insert_all([(one.origin_topic, one.origin_partition, [_Record(one)]) for one in letters])
        except (InsertFailedError, BadOutputError) as error:
            if isinstance(error, InsertFailedError) and not error.of_the_data:
                raise
            if len(letters) == 1:
                return [*letters]
            middle = len(letters) // 2
            return self.insert(letters[:middle]) + self.insert(letters[middle:])
        return []
