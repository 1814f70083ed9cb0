"""How far partitions were read, and how far they go."""

from __future__ import annotations

from confluent_kafka import KafkaError, Message
from faust.types import TP

from streams.transport.positions import Positions

_TP = TP("support.tickets", 0)


def test_what_was_heard_before_an_assignment_says_how_far_it_goes_but_proves_no_end():
    positions = Positions({_TP: 1_000})
    assert positions.unheard == [_TP]

    positions.guess(_TP, 1_000)

    assert positions.end_of(_TP) == (1_000, False)
    assert positions.unheard == [_TP]

    positions.guess(_TP, 3_000)

    assert positions.end_of(_TP) == (1_000, False)
    assert positions.highwaters == {_TP: 3_000}
    assert positions.unheard == []


def test_what_was_heard_with_the_records_proves_the_end():
    positions = Positions({_TP: 1_000})

    positions.hear(_TP, 1_000)

    assert positions.end_of(_TP) == (1_000, True)


def test_what_only_markers_of_transactions_follow_is_read_to_its_end():
    positions = Positions({_TP: 5})
    end = Message(topic=_TP.topic, partition=_TP.partition, offset=6, error=KafkaError(KafkaError._PARTITION_EOF))

    assert positions.batches([end]) == []

    assert positions.passed(_TP) == 6
    assert positions.end_of(_TP) == (5, True)
