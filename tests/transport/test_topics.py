"""Topics are made as specified, and what is wrong with them is told with what would be right."""

from dataclasses import replace

import confluent_kafka
import pytest

from streams.partitioner import murmur2, partition_of
from streams.topics import TopicError, TopicSpec, check_topics, default_specs, ensure_topics


def named(specs: list[TopicSpec], prefix: str) -> list[TopicSpec]:
    return [replace(spec, name=prefix + spec.name) for spec in specs]


def test_the_topics_of_deskpulse_are_made_once_and_are_right(broker: str, topic_prefix: str) -> None:
    client = {"bootstrap.servers": broker}
    specs = named(default_specs(3), topic_prefix)
    assert ensure_topics(client, specs) == sorted(spec.name for spec in specs)
    assert ensure_topics(client, specs) == []
    assert check_topics(client, specs) == []


def test_missing_and_wrong_topics_are_told(broker: str, topic_prefix: str) -> None:
    client = {"bootstrap.servers": broker}
    events, log = f"{topic_prefix}events", f"{topic_prefix}log"
    ensure_topics(client, [TopicSpec(events, 3, config={"retention.ms": "1000"}), TopicSpec(log, 2)])
    problems = check_topics(
        client,
        [
            TopicSpec(events, 3, config={"retention.ms": "5000"}),
            TopicSpec(log, 3, config={"cleanup.policy": "compact"}),
            TopicSpec(f"{topic_prefix}gone", 3),
        ],
    )
    assert problems == [
        f"Topic {topic_prefix}gone is missing: create it.",
        f"The topics must have equal numbers of partitions, but have: {events} 3, {log} 2.",
        f"Topic {events} has retention.ms=1000, but it must be 5000 or more.",
        f"Topic {log} has cleanup.policy=delete, but it must be compact.",
    ]


def test_a_topic_that_the_broker_refuses_is_named(broker: str, topic_prefix: str) -> None:
    with pytest.raises(TopicError, match=f"'{topic_prefix}x' could not be created"):
        ensure_topics({"bootstrap.servers": broker}, [TopicSpec(f"{topic_prefix}x", 1, replication=3)])


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafkas_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


def test_the_clients_partitioner_puts_keys_where_kafkas_java_client_does(broker: str, unique: str) -> None:
    client = {"bootstrap.servers": broker}
    ensure_topics(client, [TopicSpec(unique, 7)])
    found: dict[bytes, int] = {}
    producer = confluent_kafka.Producer(
        {
            **client,
            "partitioner": "murmur2_random",
            "on_delivery": lambda _, record: found.update({record.key(): record.partition()}),
        }
    )
    keys = [b"ticket-%d" % number for number in range(200)]
    for key in keys:
        producer.produce(unique, b"", key)
    producer.flush(10)
    assert found == {key: partition_of(key, 7) for key in keys}
