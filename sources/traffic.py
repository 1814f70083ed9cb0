"""Where simulated records go: to Kafka at once or at the pace of the clock, or into a file."""

from __future__ import annotations

import gzip
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from sources.files import STDIN
from sources.publisher import Outgoing, Publisher
from sources.simulator import Delivery

_AT_ONCE: Final = 20_000
_TICK_SECONDS: Final = 0.02
"""Live records are sent together this often: far below what anybody sees, far above the cost of a call."""

Progress = Callable[[Counter[str]], None]
"""Told the records so far by topic, again and again."""
Stopped = Callable[[], bool]


def _never() -> bool:
    return False


def publish(
    records: Iterable[Delivery],
    publisher: Publisher,
    *,
    live: bool = False,
    stopped: Stopped = _never,
    on_progress: Progress = lambda _: None,
) -> Counter[str]:
    """Send records and return how many went to each topic; all are with the brokers then.

    As fast as possible, or with ``live`` each at its time of delivery and those of the past at once. Ends with the
    records or when ``stopped`` says so, which is asked at every tick. Raises ``PublishError``.
    """
    sent: Counter[str] = Counter()
    batches = _batches_live(iter(records), stopped) if live else _batches(iter(records), stopped)
    for batch in batches:
        by_topic: dict[str, list[Outgoing]] = {}
        for _, topic, key, value in batch:
            by_topic.setdefault(topic, []).append({"key": key, "value": value})
        for topic, outgoing in by_topic.items():
            publisher.send(topic, outgoing)
            sent[topic] += len(outgoing)
        on_progress(sent)
    publisher.flush()
    return sent


def write(
    records: Iterable[Delivery], name: str, *, stopped: Stopped = _never, on_progress: Progress = lambda _: None
) -> Counter[str]:
    """Write records as lines into a file, packed when its name ends in ``.gz``; ``-`` is standard output."""
    written: Counter[str] = Counter()
    with _created(name) as file:
        for batch in _batches(iter(records), stopped):
            written.update(topic for _, topic, _, _ in batch)
            file.write(b"\n".join([value for _, _, _, value in batch]) + b"\n")
            on_progress(written)
    return written


def _batches(records: Iterator[Delivery], stopped: Stopped) -> Iterator[list[Delivery]]:
    while not stopped() and (batch := list(islice(records, _AT_ONCE))):
        yield batch


def _batches_live(records: Iterator[Delivery], stopped: Stopped) -> Iterator[list[Delivery]]:
    """What is due by now, tick by tick."""
    batch: list[Delivery] = []
    for record in records:
        while record[0] > time.time() * 1000 or len(batch) >= _AT_ONCE:
            if stopped():
                return
            if batch:
                yield batch
                batch = []
            else:
                time.sleep(_TICK_SECONDS)
        batch.append(record)
    if batch:
        yield batch


@contextmanager
def _created(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(name).open("wb") as file:
        if not name.endswith(".gz"):
            yield file
            return
        # Neither the time nor the name goes into the file, so that the same records are the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=4, mtime=0) as packed:
            yield packed  # type: ignore[misc]
