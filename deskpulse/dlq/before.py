"""How many of the last records were refused, for a worker that starts: its limit must not forget them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaException

from deskpulse.dlq.reading import DeadLettersError, Reader
from streams.clients import ClientSettings

_LOG: Final = logging.getLogger(__name__)


def refused_before(
    client: ClientSettings, starts: Mapping[tuple[str, int], int], records: int
) -> dict[str, tuple[int, Counter[str]]]:
    """By topic: of how many records before ``starts`` how many were refused, by code (see ``RefusedBefore``).

    About as many as ``records`` of each topic, in equal parts of its partitions. Where the dead letters can't be read
    nothing is known: a worker is not to stop for that.
    """
    numbers = sorted({number for _, number in starts})
    if not numbers:
        return {}
    of_each = -(-records // len(numbers))
    topics = {topic for topic, _ in starts}
    seen: Counter[str] = Counter()
    for (topic, _), read_to in starts.items():
        seen[topic] += min(read_to, of_each)
    refused: dict[str, Counter[str]] = {topic: Counter() for topic in topics}
    try:
        with Reader(client) as reader:
            # A partition's letters lie in the dead letters' partition of its number, those of all topics together.
            for letter in reader.last(numbers, of_each * len(topics)):
                start = starts.get((letter.origin_topic, letter.origin_partition))
                if start is not None and start - of_each <= letter.origin_offset < start:
                    refused[letter.origin_topic][letter.code] += 1
    except (KafkaException, DeadLettersError) as error:
        _LOG.warning("the dead letters can't be read, so the limit on them starts anew: %s", error)
        return {}
    return {topic: (seen[topic], refused[topic]) for topic in topics}
