"""One ticket's events in history order, and what can be read from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
import xxhash

from schemas.outputs import ATTRIBUTES
from streams.calendars import ALWAYS, Calendar
from streams.config import DomainConfig
from streams.policies import Policy

RawEvent = msgspec.Struct | dict[str, Any]
Event = dict[str, Any]

SECOND_MS = 1_000
DAY_MS = 86_400_000
OPEN_STATUSES = ("new", "open", "pending", "on_hold")


def plain(raw: RawEvent) -> Event:
    """An event as a dict of the fields that it carries, with ``at_ms`` and ``seq``."""
    if isinstance(raw, msgspec.Struct):
        event = msgspec.structs.asdict(raw) | {"type": raw.__struct_config__.tag}
        event = {name: value for name, value in event.items() if value is not msgspec.UNSET}
    else:
        event = dict(raw)
    at = event.pop("at")
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    event["at_ms"] = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    event.setdefault("seq", 0)
    return event


@dataclass(frozen=True)
class Step:
    """One event of the ticket's life, with what holds right after it."""

    position: int
    """In the history."""
    event: Event
    attributes: dict[str, str]
    policy: Policy | None
    status_before: str
    """Empty before the creation."""
    status: str

    @property
    def at_ms(self) -> int:
        return int(self.event["at_ms"])

    @property
    def calendar(self) -> Calendar:
        """By whose opening hours a duration is measured that ends here."""
        return ALWAYS if self.policy is None else self.policy.calendar

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def is_solve(self) -> bool:
        return not self.is_open and self.status_before not in ("solved", "closed")

    @property
    def is_reopening(self) -> bool:
        return self.is_open and self.status_before in ("solved", "closed")

    @property
    def is_merge(self) -> bool:
        return bool(self.event["type"] == "ticket.merged")

    @property
    def is_message(self) -> bool:
        return bool(self.event["type"] == "message.sent")

    def is_public_by(self, *authors: str) -> bool:
        """Is it a public message by one of these kinds of author?"""
        is_public = self.is_message and self.event["visibility"] == "public"
        return bool(is_public and self.event["author"] in authors)


@dataclass(frozen=True)
class Wait:
    """A stretch of the ticket's life from one step to another, by their numbers; ``end`` is None while it runs."""

    target: str
    start: int
    end: int | None = None
    ended_by: str | None = None
    """``reply``, ``solve`` or ``merge``."""


class Story:
    """A ticket: ``lives`` where it was created and not deleted, ``began`` where it was not merged before that."""

    def __init__(self, ticket_id: str, events: list[Event], now_ms: int, config: DomainConfig) -> None:
        self.ticket_id = ticket_id
        self.config = config
        self.history: list[Event] = []
        in_order = sorted(events, key=lambda e: (e["at_ms"], e["seq"], xxhash.xxh3_64_intdigest(e["id"].encode())))
        # Of an erased ticket nothing else is kept.
        for event in [event for event in in_order if event.get("erase")][:1] or in_order:
            if event["id"] not in [earlier["id"] for earlier in self.history]:
                self.history.append(event)
        self.now_ms: int = max(now_ms, self.history[-1]["at_ms"])
        self.creation = self._first("ticket.created")
        self.merge = self._first("ticket.merged")
        self.deleted = self._first("ticket.deleted") is not None
        self.lives = self.creation is not None and not self.deleted
        self.began = False
        if self.creation is not None and self.lives:
            self.began = self.merge is None or self.creation < self.merge
            self.created_at_ms: int = self.history[self.creation]["at_ms"]
            self.attributes = self._attributes_after_each(self.creation)
        self.steps = self._steps(self.creation) if self.creation is not None and self.began else []
        self._read_surveys()

    def _first(self, kind: str) -> int | None:
        return next((i for i, event in enumerate(self.history) if event["type"] == kind), None)

    def _attributes_after_each(self, creation: int) -> list[dict[str, str]]:
        """The attributes in force right after each event; before the creation, those right after it."""
        now = dict.fromkeys((*ATTRIBUTES, "customer_id"), "")
        after = []
        for i, event in enumerate(self.history):
            if i == creation:
                now = now | {"origin": "customer", "handler": "human"}
            if i == creation or event["type"] == "ticket.updated":
                now = now | {name: event[name] for name in now if name in event}
            after.append(now)
        return [after[max(i, creation)] for i in range(len(after))]

    def _steps(self, creation: int) -> list[Step]:
        """What the ticket lived through: its creation, what was said and asked in the same instant before the creation
        in order, and all after it up to the merge."""
        before = [
            i
            for i in range(creation)
            if self.history[i]["at_ms"] == self.created_at_ms
            and self.history[i]["type"] in ("message.sent", "survey.sent", "survey.answered")
        ]
        end = len(self.history) if self.merge is None else self.merge + 1
        steps: list[Step] = []
        status_before = ""
        for i in [creation, *before, *range(creation + 1, end)]:
            event, attributes = self.history[i], self.attributes[i]
            status = status_before
            if i == creation:
                status = event.get("status", "new")
            elif event["type"] == "ticket.updated":
                status = event.get("status", status_before)
            policy = self.config.policies.match(attributes)
            steps.append(Step(i, event, attributes, policy, status_before, status))
            status_before = status
        return steps

    def _read_surveys(self) -> None:
        self.sent: dict[str, Step] = {}
        self.answered: dict[str, Step] = {}
        for step in self.steps:
            if step.event["type"] == "survey.sent":
                self.sent.setdefault(step.event["survey_id"], step)
            if step.event["type"] == "survey.answered":
                self.answered[step.event["survey_id"]] = step

    @property
    def status(self) -> str:
        return self.steps[-1].status

    @property
    def is_open(self) -> bool:
        return self.steps[-1].is_open

    @property
    def policy(self) -> Policy | None:
        """The one in force after the last event, or after the merge."""
        return self.config.policies.match(self.attributes[-1 if self.merge is None else self.merge])

    @property
    def is_outbound(self) -> bool:
        return self.steps[0].attributes["origin"] in ("agent", "proactive")

    @cached_property
    def solves(self) -> list[Step]:
        return [step for step in self.steps if step.is_solve]

    @cached_property
    def reopenings(self) -> list[Step]:
        return [step for step in self.steps if step.is_reopening]

    def public_by(self, *authors: str) -> list[Step]:
        """The public messages by these kinds of author."""
        return [step for step in self.steps if step.is_public_by(*authors)]

    def attributes_at(self, at_ms: int) -> dict[str, str]:
        """The attributes in force at a moment: after the last event up to it."""
        return [self.attributes[i] for i, event in enumerate(self.history) if event["at_ms"] <= at_ms][-1]

    def attributes_of_survey(self, survey: Step) -> dict[str, str]:
        """Those of the last solve before it in order; without one, its own."""
        solved = [solve.attributes for solve in self.solves if solve.position < survey.position]
        return (solved or [survey.attributes])[-1]
