"""Reading a changelog back: the state of one partition, when it is assigned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


class RestoreError(Exception):
    """A changelog could not be read to its end."""


async def read_to_end(
    config: Mapping[str, str | int | float | bool],
    topic: str,
    partition: int,
    on_records: Callable[[Sequence[tuple[bytes, bytes | None]]], None],
    *,
    deadline_seconds: float = 300.0,
) -> int:
    """Read a changelog partition from its start to its end and return how many records there were.

    ``on_records`` is called in the reading thread (nobody else may touch what it writes to until this returns), with
    batches of (key, value), in order; a value of None is a tombstone. Raises :class:`RestoreError`.
    """
    raise NotImplementedError
