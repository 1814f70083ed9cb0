"""What is published of service-level agreements: each thing that holds once, and its retraction when it holds no more.

What a ticket has raised is a pure function of its instances, like what it contributes to the figures; the difference to
what was raised before is published. Rules: ``docs/definitions.md``.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from librt.strings import BytesWriter, write_i64_le
from mypy_extensions import u8

from schemas.outputs import SlaEvent
from streams.facts import Facts
from streams.measures import TARGETS
from streams.policies import PolicyNames
from streams.sla import AT_RISK, BREACHED, CANCELLED, MET, RETRACTED, Instance

_KINDS: Final = (AT_RISK, BREACHED, MET, CANCELLED)
_KIND: Final = {kind: number for number, kind in enumerate(_KINDS)}
_ENTRY: Final = Struct("<BBHQQH")
"""Kind, target, number of the instance, start, when it became so, policy."""


class Raised(NamedTuple):
    """One thing that holds of an instance; two are the same when all but the policy are."""

    kind: int
    target: int
    number: int
    started_at: int
    at: int
    policy: int


def raised(facts: Facts, policies: PolicyNames) -> bytes:
    """What holds of a ticket's instances, in their order, packed: as it is kept with the ticket."""
    packed = BytesWriter()
    for instance in facts.sla:
        if instance.at_risk_raised and instance.at_risk_at is not None:
            _put(packed, instance, AT_RISK, instance.at_risk_at, policies)
        if instance.breached_at is not None:
            _put(packed, instance, BREACHED, instance.breached_at, policies)
        elif instance.ended_at is not None:
            _put(packed, instance, instance.outcome, instance.ended_at, policies)
    return packed.getvalue()


def _put(packed: BytesWriter, instance: Instance, kind: str, at: int, policies: PolicyNames) -> None:
    """Write one ``_ENTRY``."""
    number, policy = instance.number, policies.number(instance.policy)
    packed.append(u8(_KIND[kind]))
    packed.append(u8(instance.rank))
    packed.append(u8(number & 0xFF))
    packed.append(u8(number >> 8))
    write_i64_le(packed, instance.started_at)
    write_i64_le(packed, at)
    packed.append(u8(policy & 0xFF))
    packed.append(u8(policy >> 8))


def unpack(packed: bytes) -> list[Raised]:
    """The inverse of :func:`raised`."""
    return [Raised(*entry) for entry in _ENTRY.iter_unpack(packed)]


def events(ticket_id: str, before: bytes, after: bytes, facts: Facts, policies: PolicyNames) -> list[SlaEvent]:
    """What is to be published: retractions of what holds no more, then what is new, by its time."""
    old = {entry[:5]: entry for entry in unpack(before)}
    new = {entry[:5]: entry for entry in unpack(after)}
    due = {(instance.target, instance.number, instance.started_at): instance.due_at for instance in facts.sla}
    found: list[SlaEvent] = []
    for identity, entry in old.items():
        if identity not in new:
            event = _event(ticket_id, entry, facts, facts.as_of, policies)
            event.kind, event.withdraws, event.at_ms = RETRACTED, event.kind, facts.as_of
            found.append(event)
    for identity, entry in sorted(new.items(), key=_when):
        if identity not in old:
            event = _event(ticket_id, entry, facts, entry.at, policies)
            event.due_at_ms = due[event.target, entry.number, entry.started_at]
            found.append(event)
    return found


def _when(item: tuple[tuple[int, ...], Raised]) -> int:
    return item[1].at


def _event(ticket_id: str, entry: Raised, facts: Facts, at: int, policies: PolicyNames) -> SlaEvent:
    event = SlaEvent(
        ticket_id=ticket_id,
        kind=_KINDS[entry.kind],
        target=TARGETS[entry.target],
        policy=policies.names[entry.policy],
        at_ms=entry.at,
        started_at_ms=entry.started_at,
        instance=entry.number,
    )
    if facts.story is not None:
        state = facts.story.state_at(at)
        event.channel, event.priority, event.team = state.channel, state.priority, state.team
    return event
