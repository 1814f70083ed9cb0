"""The facts of a ticket as the record that is published (``schemas.outputs.TicketFacts``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.outputs import SurveyAnswer, TicketFacts
from streams.attributes import put_attributes
from streams.facts import NO_STATUS, Facts, NextReply
from streams.history import STATUSES, SURVEY_KINDS
from streams.json_object import JsonObject

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder(TicketFacts).decode
_STATUSES: Final = tuple(status.encode() for status in STATUSES)


class FactsRecords:
    """Makes the records, one after the other."""

    def __init__(self) -> None:
        self._record = JsonObject()
        self._part = JsonObject()
        """For what stands within a record."""

    def decoded(self, ticket_id: str, facts: Facts, names: list[str], events: int) -> TicketFacts:
        """What :meth:`encoded` says."""
        return _decode(self.encoded(ticket_id.encode(), facts, names, events))

    def encoded(self, key: bytes, facts: Facts, names: list[str], events: int) -> bytes:
        """The JSON of the facts of a key's ticket. ``names`` are those of its history, ``events`` how many it has."""
        record = self._record
        record.begin()
        record.utf8(b"ticket_id", key)
        record.integer(b"as_of_ms", facts.as_of)
        record.count(b"events", events)
        created = facts.created
        record.mark(b"deleted", facts.deleted)
        if created is not None and not facts.deleted:
            record.text(b"merged_into", facts.merged_into or "")
            record.integer(b"created_at_ms", created.at)
            record.text(b"customer_id", facts.customer)
            put_attributes(record, facts.patches)
            # Of one that was merged before it began there is nothing else.
            if facts.status != NO_STATUS:
                self._times(record, facts)
                self._counts(record, facts)
                self._judgements(record, facts)
                self._surveys(record, facts, names)
        return record.end()

    def _times(self, record: JsonObject, facts: Facts) -> None:
        record.raw(b"status", b'"%s"' % _STATUSES[facts.status])
        record.integer(b"status_since_ms", facts.status_since)
        record.seconds(b"first_touch_seconds", facts.first_touch_ms)
        record.seconds(b"first_touch_business_seconds", _other(facts.first_touch_business_ms, facts.first_touch_ms))
        if facts.first_reply is not None:
            record.integer(b"first_reply_at_ms", facts.first_reply.at)
        record.seconds(b"first_reply_seconds", facts.first_reply_ms)
        record.seconds(b"first_reply_business_seconds", _other(facts.first_reply_business_ms, facts.first_reply_ms))
        record.seconds(b"handoff_reply_seconds", facts.handoff_reply_ms)
        record.seconds(
            b"handoff_reply_business_seconds", _other(facts.handoff_reply_business_ms, facts.handoff_reply_ms)
        )
        if facts.next_replies:
            replies = b",".join([self._next_reply(wait) for wait in facts.next_replies])
            record.raw(b"next_replies", b"[%b]" % replies)
        if facts.first_solve is not None and facts.last_solve is not None:
            record.integer(b"first_solved_at_ms", facts.first_solve.at)
            record.seconds(b"first_resolution_seconds", facts.first_resolution_ms)
            record.seconds(
                b"first_resolution_business_seconds",
                _other(facts.first_resolution_business_ms, facts.first_resolution_ms),
            )
            record.integer(b"last_solved_at_ms", facts.last_solve.at)
            record.seconds(b"full_resolution_seconds", facts.full_resolution_ms)
            record.seconds(
                b"full_resolution_business_seconds",
                _other(facts.full_resolution_business_ms, facts.full_resolution_ms),
            )
        new, opened, _, on_hold = facts.status_ms
        record.raw(b"status_seconds", self._status_seconds(facts.status_ms))
        record.seconds(b"requester_wait_seconds", new + opened + on_hold)
        record.seconds(b"agent_work_seconds", new + opened)
        if facts.status_business_ms != facts.status_ms:
            work_ms, wait_ms = new + opened, new + opened + on_hold
            new, opened, _, on_hold = facts.status_business_ms
            record.raw(b"status_business_seconds", self._status_seconds(facts.status_business_ms))
            record.seconds(b"requester_wait_business_seconds", _other(new + opened + on_hold, wait_ms))
            record.seconds(b"agent_work_business_seconds", _other(new + opened, work_ms))

    def _next_reply(self, wait: NextReply) -> bytes:
        part = self._part
        part.begin()
        part.integer(b"started_at_ms", wait.started_at)
        if wait.ended_at is not None:
            ms = wait.ended_at - wait.started_at
            part.integer(b"ended_at_ms", wait.ended_at)
            part.seconds(b"seconds", ms)
            part.seconds(b"business_seconds", _other(wait.business_ms, ms))
            part.text(b"ended_by", wait.ended_by or "")
        return part.end()

    def _status_seconds(self, status_ms: Sequence[int]) -> bytes:
        if not any(status_ms):
            return b"{}"
        part = self._part
        part.begin()
        for status in range(len(status_ms)):
            ms = status_ms[status]
            if ms:
                part.seconds(_STATUSES[status], ms)
        return part.end()

    def _counts(self, record: JsonObject, facts: Facts) -> None:
        record.count(b"solves", len(facts.solves))
        record.count(b"reopens", len(facts.reopens))
        record.count(b"agent_replies", len(facts.agent_replies))
        record.count(b"customer_messages", facts.customer_messages)
        record.count(b"agents", facts.agents)
        record.count(b"channel_switches", facts.channel_switches)

    def _judgements(self, record: JsonObject, facts: Facts) -> None:
        record.mark(b"unanswered", facts.unanswered)
        record.text(b"policy", facts.policy)
        if facts.first_solve is not None:
            record.flag(b"one_touch", facts.one_touch)
            record.flag(b"no_followup", facts.no_followup)
            record.flag(b"no_reopen", facts.no_reopen)
            record.flag(b"no_repeat", facts.no_repeat)
            record.flag(b"fcr", facts.fcr)
            record.flag(b"fcr_final", facts.fcr_final)
            record.flag(b"bot_resolved", facts.bot_resolved)
            record.flag(b"bot_resolved_durably", facts.bot_resolved_durably)
        record.text(b"handled_by", facts.handled_by or "")
        record.flag(b"service_recovery", facts.service_recovery)

    def _surveys(self, record: JsonObject, facts: Facts, names: list[str]) -> None:
        if facts.sent:
            sent: dict[str, int] = {}
            for _, one in facts.sent:
                kind = SURVEY_KINDS[one.kind]
                sent[kind] = sent.get(kind, 0) + 1
            record.raw(b"surveys_sent", _encode(sent))
        if facts.answers:
            answers = [
                SurveyAnswer(
                    survey_id=names[survey - 1],
                    kind=SURVEY_KINDS[answer.kind],
                    score=answer.score,
                    scale_min=answer.low,
                    scale_max=answer.high,
                    answered_at_ms=answer.moment.at,
                )
                for survey, answer in facts.answers
            ]
            record.raw(b"answers", _encode(answers))


def _other(business_ms: int | None, ms: int | None) -> int | None:
    """Business time; None where it is not other than the elapsed time."""
    return None if business_ms == ms else business_ms
