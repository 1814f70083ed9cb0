"""With a key no customer's id gets anywhere; without one nothing changes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskpulse.settings import load
from deskpulse.settings_file import SettingsError
from schemas.events import INPUT_TOPICS, TICKETS, TOPIC_OF_TYPE, AnyEvent, MessageSent, TicketUpdated, decode
from sinks.rows import blocks
from streams.batch import batch
from streams.config import DomainConfig
from streams.partition import Partition
from streams.pseudonyms import Pseudonyms
from streams.watermark import Watermark
from tests.domain.partitions import Record, record
from tests.strategies import encode, histories, key

KEY = "the key of the desk's customers"
PSEUDONYMS = Pseudonyms(KEY)
WITH_AGENTS = Pseudonyms(KEY, agents=True)
PERSON = "Erika Mustermann <erika@example.org>"


def message(author: str, author_id: str) -> AnyEvent:
    return decode(
        msgspec.json.encode(
            {
                "id": "e2",
                "type": "message.sent",
                "ticket_id": "T1",
                "at": "2026-06-01T10:00:00Z",
                "author": author,
                "author_id": author_id,
                "visibility": "public",
            }
        )
    )


@given(st.text(max_size=60))
def test_a_pseudonym_says_nothing_and_is_its_own_pseudonym(person: str) -> None:
    pseudonym = PSEUDONYMS.of(person)
    assert pseudonym.startswith("~")
    assert len(pseudonym) == 33
    assert len(person) < 4 or person not in pseudonym or person == pseudonym
    assert PSEUDONYMS.of(pseudonym) == pseudonym
    assert Pseudonyms(KEY).of(person) == pseudonym != Pseudonyms("another key").of(person)


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(DomainConfig(pseudonyms=PSEUDONYMS))


def test_what_looks_nearly_like_a_pseudonym_is_an_id() -> None:
    for person in ("~", "~" + 31 * "0", "~" + 33 * "0", "~" + 32 * "G", "~" + 32 * "0" + "\n"):
        assert PSEUDONYMS.of(person) != person


def test_agents_have_pseudonyms_only_where_that_is_wanted() -> None:
    updated = decode(
        b'{"id":"e1","type":"ticket.updated","ticket_id":"T1","at":"2026-06-01T10:00:00Z","agent_id":"a","actor":"c"}'
    )
    assert isinstance(updated, TicketUpdated)
    assert PSEUDONYMS.hide(updated) == msgspec.structs.replace(updated, actor=PSEUDONYMS.of("c"))
    assert WITH_AGENTS.hide(updated) == msgspec.structs.replace(
        updated, agent_id=PSEUDONYMS.of("a"), actor=PSEUDONYMS.of("c")
    )
    for author, pseudonyms in (("customer", PSEUDONYMS), ("agent", WITH_AGENTS)):
        hidden = pseudonyms.hide(message(author, "x"))
        assert isinstance(hidden, MessageSent)
        assert hidden.author_id == PSEUDONYMS.of("x")
    for author in ("agent", "bot", "system"):
        assert PSEUDONYMS.hide(message(author, "x")) == message(author, "x")


@settings(max_examples=40)
@given(histories())
def test_facts_are_the_same_but_for_the_names(events: list[AnyEvent]) -> None:
    plain = batch(events, None, DomainConfig())
    hidden = batch(events, None, DomainConfig(pseudonyms=PSEUDONYMS))
    for ticket_id, told in plain.items():
        named = told.record.customer_id
        assert hidden[ticket_id].record == msgspec.structs.replace(
            told.record, customer_id=PSEUDONYMS.of(named) if named else ""
        )


@settings(max_examples=40)
@given(histories())
def test_no_customer_gets_into_what_a_partition_publishes(events: list[AnyEvent]) -> None:
    """All ids but those of customers are made of what `person` does not hold."""
    config = DomainConfig(pseudonyms=PSEUDONYMS)
    partition = Partition(0, config, Watermark(INPUT_TOPICS, 0, event_clock=True))
    for event in map(of_person, events):
        partition.apply(TOPIC_OF_TYPE[str(event.__struct_config__.tag)], [record(event)])
    partition.advance((), 0)
    for topic, outputs in partition.cut().records.items():
        for output in outputs:
            assert b"erika" not in b"".join(part or b"" for part in output), topic


def of_person(event: AnyEvent) -> AnyEvent:
    """The event with a customer who would be noticed."""
    if isinstance(event, MessageSent) and event.author == "customer":
        return msgspec.structs.replace(event, author_id=PERSON)
    return msgspec.structs.replace(event, customer_id=PERSON) if getattr(event, "customer_id", None) else event


def test_the_archive_has_pseudonyms_and_no_field_that_nobody_knows() -> None:
    value = (
        b'{"id":"e1","type":"ticket.created","ticket_id":"T1","at":"2026-06-01T10:00:00+02:00","customer_id":"erika",'
        b'"channel":"email","priority":"low","requester":{"mail":"erika@example.org"}}'
    )

    class Archived(Record):
        def timestamp(self) -> tuple[int, int]:
            return 1, 1_780_000_000_000

    def archived(pseudonyms: Pseudonyms | None) -> str:
        ((table, columns),) = blocks(TICKETS, 0, [Archived(value, b"T1")], pseudonyms)
        kept = dict(zip(table.insert_columns[0], columns, strict=True))["value"][0]
        assert isinstance(kept, str)
        return kept

    assert archived(None) == value.decode()
    assert "erika" not in archived(PSEUDONYMS)
    assert decode(archived(PSEUDONYMS).encode()) == PSEUDONYMS.hide(decode(value))


def test_the_key_can_come_from_a_file_and_must_be_long(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    config = tmp_path / "deskpulse.toml"
    config.write_text('[privacy]\ncustomer_key_file = "key"\n')
    found = load(config).domain().pseudonyms
    assert found is not None
    assert found.of("c1") == PSEUDONYMS.of("c1")
    config.write_text('[privacy]\ncustomer_key = "too short"\n')
    with pytest.raises(SettingsError, match=r"privacy.customer_key`: has 9 characters; expected at least 16") as told:
        load(config)
    assert "too short" not in str(told.value)
    config.write_text("")
    assert load(config).domain().pseudonyms is None


def test_records_are_keyed_by_ticket_whatever_becomes_of_people() -> None:
    event = message("customer", "c1")
    assert key(PSEUDONYMS.hide(event)) == key(event)
    assert encode(PSEUDONYMS.hide(event)) != encode(event)
