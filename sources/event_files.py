"""Publishing files of events: each line is checked, goes as it is, and a bad one goes to the dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import time
from typing import Final, NamedTuple

from msgspec import Struct, field

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import EVENT_TYPES, TOPIC_OF_TYPE, decode
from sources.files import STDIN, Batch, read_batches
from sources.publisher import Outgoing, Publisher

_TOPIC_OF: Final = {kind: TOPIC_OF_TYPE[str(kind.__struct_config__.tag)] for kind in EVENT_TYPES}


class BadLine(NamedTuple):
    """A line that is no event."""

    file: str
    line: int
    value: bytes
    reason: str


class Published(Struct):
    """What became of the lines so far."""

    published: int = 0
    by_topic: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    """The first of them."""
    skipped: int = 0
    """Events of types that deskpulse does not know."""
    skipped_types: dict[str, int] = field(default_factory=dict)


class Sorted(NamedTuple):
    """A batch of lines, by where they go."""

    records: dict[str, list[Outgoing]]
    bad: list[BadLine]
    unknown: list[str]


def sort_lines(name: str, batch: Batch) -> Sorted:
    """Check every line of a batch; blank lines are nothing."""
    records: dict[str, list[Outgoing]] = {topic: [] for topic in TOPIC_OF_TYPE.values()}
    bad: list[BadLine] = []
    unknown: list[str] = []
    add_by_type = {kind: records[topic].append for kind, topic in _TOPIC_OF.items()}
    for number, line in enumerate(batch.lines, batch.first_line):
        try:
            event = decode(line)
        except BadRecordError as error:
            if line.strip():
                bad.append(BadLine(name, number, line, str(error)))
        except UnknownTypeError as error:
            unknown.append(str(error))
        else:
            add_by_type[type(event)]({"key": event.ticket_id.encode(), "value": line})
    return Sorted(records, bad, unknown)


def publish_files(
    names: Iterable[str],
    publisher: Publisher,
    *,
    show_bad: int = 10,
    on_progress: Callable[[Published, str, Batch], None] = lambda *_: None,
) -> Published:
    """Publish every event of ``names`` (``-`` is standard input) and wait until the brokers have them.

    Raises ``PublishError`` and ``InputError``; what was read before is then published as far as the error says.
    """
    done = Published()
    for name, batch in _batches(names):
        lines = sort_lines(name, batch)
        for topic, records in lines.records.items():
            if records:
                publisher.send(topic, records)
                done.published += len(records)
                done.by_topic[topic] = done.by_topic.get(topic, 0) + len(records)
        origin = "file:stdin" if name == STDIN else f"file:{Path(name).name}"
        for bad in lines.bad:
            publisher.send_dead_letter(bad.value, f"bad_record: {bad.reason}", origin, bad.line, int(time() * 1000))
        done.bad += len(lines.bad)
        done.bad_lines += lines.bad[: max(0, show_bad - len(done.bad_lines))]
        done.skipped += len(lines.unknown)
        for kind in lines.unknown:
            done.skipped_types[kind] = done.skipped_types.get(kind, 0) + 1
        on_progress(done, name, batch)
    publisher.flush()
    return done


def _batches(names: Iterable[str]) -> Iterator[tuple[str, Batch]]:
    for name in names:
        for batch in read_batches(name):
            yield name, batch
