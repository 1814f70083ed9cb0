"""A second program that says what the figures must be: plain, slow, written from ``docs/definitions.md`` alone.

It shares no code with ``streams`` but the names and numbers of measures and buckets. Events are structs of
``schemas.events`` or dicts like their JSON, of any number of tickets, in any order, repeated at will.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import xxhash

from schemas.outputs import ATTRIBUTES, TicketFacts
from streams import buckets, figures, measures

RawEvent = msgspec.Struct | dict[str, Any]
Event = dict[str, Any]
Amounts = dict[str, int]
Dims = tuple[str, ...]

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
PANE_MS = {"minute": MINUTE_MS, "hour": HOUR_MS}
OPEN_STATUSES = ("new", "open", "pending", "on_hold")
SCALES = {"csat": (1.0, 5.0), "nps": (0.0, 10.0), "ces": (1.0, 7.0)}
TOLERANCE = 1e-9

DEFAULT_PARTS = ("one_touch", "no_reopen")
DEFAULT_DAYS = 7
DEFAULT_DIMENSIONS = ("channel", "priority", "team")


@dataclass(frozen=True)
class Contribution:
    """What one ticket adds to the cell of its moment: ``amount`` of a count, or one duration of ``amount`` ms."""

    at_ms: int
    attributes: dict[str, str]
    measure: str
    amount: int


@dataclass(frozen=True)
class OpenTicket:
    """One ticket of the backlog."""

    ticket_id: str
    status: str
    age_ms: int
    attributes: dict[str, str]


@dataclass(frozen=True)
class StatusChange:
    """The ticket went from one status to another; ``old`` is empty at the creation."""

    position: int
    at_ms: int
    old: str
    new: str

    @property
    def is_solve(self) -> bool:
        return self.new in ("solved", "closed") and self.old not in ("solved", "closed")

    @property
    def is_reopen(self) -> bool:
        return self.old in ("solved", "closed") and self.new not in ("solved", "closed")


def facts(
    events: Iterable[RawEvent],
    now_ms: int,
    fcr_parts: Sequence[str] = DEFAULT_PARTS,
    fcr_days: int = DEFAULT_DAYS,
) -> dict[str, dict[str, Any]]:
    """The facts by ticket id: every field of ``TicketFacts`` but ``as_of_ms``, empty collections as None."""
    return {story.ticket_id: story.facts(now_ms, fcr_parts, fcr_days) for story in stories(events)}


def comparable(found: TicketFacts) -> dict[str, Any]:
    """The program's facts in the oracle's form."""
    fields = msgspec.to_builtins(found)
    fields = {name: fields.get(name, getattr(found, name)) for name in TicketFacts.__struct_fields__}
    del fields["as_of_ms"]
    for name in ("status_seconds", "surveys_sent", "answers"):
        fields[name] = fields[name] or None
    if fields["answers"]:
        fields["answers"] = sorted(fields["answers"], key=lambda answer: str(answer["survey_id"]))
    if fields["status_seconds"]:
        fields["status_seconds"] = {status: round(s, 3) for status, s in fields["status_seconds"].items()}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}


def contributions(
    events: Iterable[RawEvent],
    now_ms: int,
    fcr_parts: Sequence[str] = DEFAULT_PARTS,
    fcr_days: int = DEFAULT_DAYS,
) -> list[Contribution]:
    """What all tickets contribute; nothing that is zero, but durations of zero milliseconds."""
    return [
        one
        for story in stories(events)
        for one in story.contributions(now_ms, fcr_parts, fcr_days)
        if one.amount or one.measure in measures.DURATIONS
    ]


def cells(
    events: Iterable[RawEvent],
    now_ms: int,
    resolution: str,
    dimensions: Sequence[str] = DEFAULT_DIMENSIONS,
    fcr_parts: Sequence[str] = DEFAULT_PARTS,
    fcr_days: int = DEFAULT_DAYS,
) -> dict[tuple[int, Dims], Amounts]:
    """The cells that are not empty, by the start of their pane and the values of ``dimensions``."""
    sums: dict[tuple[int, Dims], Amounts] = {}
    for one in contributions(events, now_ms, fcr_parts, fcr_days):
        pane = one.at_ms - one.at_ms % PANE_MS[resolution]
        dims = tuple(one.attributes[name] for name in dimensions)
        add(sums.setdefault((pane, dims), {}), amounts_of(one))
    return sums


def window_totals(
    events: Iterable[RawEvent],
    now_ms: int,
    window: str,
    dimensions: Sequence[str] = DEFAULT_DIMENSIONS,
    fcr_parts: Sequence[str] = DEFAULT_PARTS,
    fcr_days: int = DEFAULT_DAYS,
) -> dict[Dims, Amounts]:
    """The sums over the panes of one of ``figures.WINDOWS_SECONDS``, by the values of ``dimensions``."""
    resolution = "minute" if window in figures.MINUTE_WINDOWS else "hour"
    length = PANE_MS[resolution]
    last = now_ms - now_ms % length
    first = last + length - figures.WINDOWS_SECONDS[window] * SECOND_MS
    totals: dict[Dims, Amounts] = {}
    for (pane, dims), amounts in cells(events, now_ms, resolution, dimensions, fcr_parts, fcr_days).items():
        if first <= pane <= last:
            add(totals.setdefault(dims, {}), amounts)
    return totals


def by_group(totals: dict[Dims, Amounts], dimensions: Sequence[str]) -> dict[tuple[str, str], Amounts]:
    """The totals of each value of each single dimension, and of ``("all", "")``."""
    groups: dict[tuple[str, str], Amounts] = {}
    for dims, amounts in totals.items():
        for group in [("all", ""), *zip(dimensions, dims, strict=True)]:
            add(groups.setdefault(group, {}), amounts)
    return groups


def numbered(amounts: Amounts) -> dict[int, int]:
    """Totals as ``streams.figures`` take them: by the numbers of measures."""
    return {measures.NUMBER_OF[name]: amount for name, amount in amounts.items()}


def backlog(events: Iterable[RawEvent], now_ms: int) -> list[OpenTicket]:
    """The open tickets, by ticket id."""
    return [
        OpenTicket(story.ticket_id, story.status, now_ms - story.created_at_ms, story.attributes[-1])
        for story in stories(events)
        if story.lives and story.merged_into is None and story.status in OPEN_STATUSES
    ]


def amounts_of(one: Contribution) -> Amounts:
    """What a contribution adds, by the names of a cell's measures."""
    if one.measure not in measures.DURATIONS:
        return {one.measure: one.amount}
    amounts = {f"{one.measure}_b{buckets.bucket_of(one.amount)}": 1}
    if one.amount:
        amounts[f"{one.measure}_ms"] = one.amount
    return amounts


def add(to: Amounts, what: Amounts) -> None:
    for name, amount in what.items():
        to[name] = to.get(name, 0) + amount


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


def stories(events: Iterable[RawEvent]) -> Iterator[Story]:
    """One story per ticket, by ticket id."""
    by_ticket: dict[str, list[Event]] = defaultdict(list)
    for event in map(plain, events):
        by_ticket[event["ticket_id"]].append(event)
    for ticket_id in sorted(by_ticket):
        yield Story(ticket_id, by_ticket[ticket_id])


class Story:
    """One ticket's events in history order, and all that can be read from them."""

    def __init__(self, ticket_id: str, events: list[Event]) -> None:
        self.ticket_id = ticket_id
        self.history: list[Event] = []
        for event in sorted(events, key=lambda e: (e["at_ms"], e["seq"], xxhash.xxh3_64_intdigest(e["id"].encode()))):
            if event["id"] not in [earlier["id"] for earlier in self.history]:
                self.history.append(event)
        self.creation = self._first("ticket.created")
        self.merge = self._first("ticket.merged")
        self.deleted = self._first("ticket.deleted") is not None
        self.merged_into: str | None = None if self.merge is None else self.history[self.merge]["into"]
        self.lives = self.creation is not None and not self.deleted
        if self.lives:
            self._read()

    def _first(self, kind: str) -> int | None:
        return next((i for i, event in enumerate(self.history) if event["type"] == kind), None)

    def _read(self) -> None:
        assert self.creation is not None
        self.created_at_ms: int = self.history[self.creation]["at_ms"]
        self.attributes = self._attributes_after_each()
        # What comes after the merge counts no longer; merged before it began, nothing ever counts.
        self.end = len(self.history) if self.merge is None else self.merge
        self.began = self.creation < self.end
        self.changes = list(self._status_changes()) if self.began else []
        self.status: str = self.changes[-1].new if self.began else ""
        self.solves = [change for change in self.changes if change.is_solve]
        self.reopens = [change for change in self.changes if change.is_reopen]
        counted = [i for i in range(self.end if self.began else 0) if self.history[i]["at_ms"] >= self.created_at_ms]
        self.public = [
            i
            for i in counted
            if self.history[i]["type"] == "message.sent" and self.history[i]["visibility"] == "public"
        ]
        self.sent: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        for i in counted:
            if self.history[i]["type"] == "survey.sent":
                self.sent.setdefault(self.history[i]["survey_id"], i)
            if self.history[i]["type"] == "survey.answered":
                self.answered[self.history[i]["survey_id"]] = i

    def _attributes_after_each(self) -> list[dict[str, str]]:
        """The attributes in force right after each event; before the creation, those right after it."""
        now = dict.fromkeys((*ATTRIBUTES, "customer_id"), "")
        after = []
        for i, event in enumerate(self.history):
            if i == self.creation:
                now = now | {"origin": "customer", "handler": "human"}
            if i == self.creation or event["type"] == "ticket.updated":
                now = now | {name: event[name] for name in now if name in event}
            after.append(now)
        assert self.creation is not None
        return [after[max(i, self.creation)] for i in range(len(after))]

    def _status_changes(self) -> Iterator[StatusChange]:
        assert self.creation is not None
        status = ""
        for i in range(self.creation, self.end):
            event = self.history[i]
            if i == self.creation:
                new = event.get("status", "new")
            elif event["type"] == "ticket.updated":
                new = event.get("status", status)
            else:
                continue
            if new != status:
                yield StatusChange(i, event["at_ms"], status, new)
                status = new

    def _at(self, position: int) -> int:
        return int(self.history[position]["at_ms"])

    def _by(self, *authors: str) -> list[int]:
        """Positions of the public messages by these kinds of author."""
        return [i for i in self.public if self.history[i]["author"] in authors]

    def _now(self, now_ms: int) -> int:
        return max(now_ms, self._at(-1))

    def status_ms(self, until_ms: int) -> dict[str, int]:
        """How long the ticket was in each open status, from its creation to ``until_ms``."""
        spent = dict.fromkeys(OPEN_STATUSES, 0)
        ends = [change.at_ms for change in self.changes[1:]] + [until_ms]
        for change, end in zip(self.changes, ends, strict=True):
            if change.new in spent:
                spent[change.new] += max(0, min(end, until_ms) - change.at_ms)
        return {status: ms for status, ms in spent.items() if ms}

    def first_reply(self) -> tuple[int, int] | None:
        """The position of the first reply and how long it was waited for, in milliseconds."""
        assert self.creation is not None
        outbound = self.attributes[self.creation]["origin"] in ("agent", "proactive")
        start = None if outbound else self.created_at_ms
        customers, agents = self._by("customer"), self._by("agent")
        reopened = [change.position for change in self.reopens]
        for i in range(self.end):
            if i in customers and start is None:
                start = self._at(i)
            if i in reopened and start is not None:
                start = self._at(i)
            if i in agents and start is not None and self._at(i) >= start:
                return i, self._at(i) - start
        return None

    def fcr(self, now_ms: int, parts: Sequence[str], days: int) -> dict[str, bool]:
        """The parts, ``fcr`` and ``fcr_final`` of a ticket that was solved."""
        limit = self.solves[0].at_ms + days * DAY_MS
        told = {
            "one_touch": len([i for i in self._by("agent") if self._at(i) <= limit]) <= 1,
            "no_followup": not [i for i in self._by("customer") if self.created_at_ms < self._at(i) <= limit],
            "no_reopen": not [change for change in self.reopens if change.at_ms <= limit],
        }
        told["fcr"] = all(told[part] for part in parts)
        told["fcr_final"] = not told["fcr"] or self._now(now_ms) > limit
        return told

    def facts(self, now_ms: int, fcr_parts: Sequence[str], fcr_days: int) -> dict[str, Any]:
        told = comparable(TicketFacts(ticket_id=self.ticket_id, as_of_ms=0))
        told["events"] = len(self.history)
        told["deleted"] = self.deleted
        if not self.lives:
            return told
        told |= {"merged_into": self.merged_into, "created_at_ms": self.created_at_ms} | self.attributes[-1]
        if not self.began:
            return told
        until = self._now(now_ms) if self.merge is None else self._at(self.merge)
        told["status"] = self.status
        told["status_since_ms"] = self.changes[-1].at_ms
        told["status_seconds"] = {status: ms / 1000 for status, ms in self.status_ms(until).items()} or None
        told["solves"] = len(self.solves)
        told["reopens"] = len(self.reopens)
        told["agent_replies"] = len(self._by("agent"))
        if touches := self._by("agent", "bot"):
            told["first_touch_seconds"] = (self._at(touches[0]) - self.created_at_ms) / 1000
        if reply := self.first_reply():
            told["first_reply_at_ms"] = self._at(reply[0])
            told["first_reply_seconds"] = reply[1] / 1000
        if self.solves:
            first, last = self.solves[0].at_ms, self.solves[-1].at_ms
            told["first_solved_at_ms"] = first
            told["first_resolution_seconds"] = (first - self.created_at_ms) / 1000
            told["last_solved_at_ms"] = last
            told["full_resolution_seconds"] = (last - self.created_at_ms) / 1000
            told |= self.fcr(now_ms, fcr_parts, fcr_days)
        sent: Amounts = {}
        for i in self.sent.values():
            add(sent, {self.history[i]["kind"]: 1})
        told["surveys_sent"] = sent or None
        told["answers"] = [self._answer(survey_id) for survey_id in sorted(self.answered)] or None
        return told

    def _answer(self, survey_id: str) -> dict[str, Any]:
        event = self.history[self.answered[survey_id]]
        low, high = SCALES[event["kind"]]
        return {
            "survey_id": survey_id,
            "kind": event["kind"],
            "score": float(event["score"]),
            "scale_min": float(event.get("scale_min", low)),
            "scale_max": float(event.get("scale_max", high)),
            "answered_at_ms": event["at_ms"],
        }

    def contributions(self, now_ms: int, fcr_parts: Sequence[str], fcr_days: int) -> Iterator[Contribution]:
        if not self.lives or not self.began:
            return
        assert self.creation is not None

        def at(position: int, measure: str, amount: int = 1) -> Contribution:
            return Contribution(self._at(position), self.attributes[position], measure, amount)

        if touches := self._by("agent", "bot"):
            yield at(touches[0], "first_touch", self._at(touches[0]) - self.created_at_ms)
        if reply := self.first_reply():
            yield at(reply[0], "first_reply", reply[1])
        for i in self._by("agent"):
            yield at(i, "agent_replies")
        for i in self.sent.values():
            yield self._of_survey(i, f"{self.history[i]['kind']}_sent", 1)
        for survey_id, i in self.answered.items():
            for measure, amount in judge(self._answer(survey_id)).items():
                yield self._of_survey(i, measure, amount)

        if self.merged_into is not None:
            return
        yield at(self.creation, "created")
        for solve in self.solves:
            yield at(solve.position, "solves")
        for reopen in self.reopens:
            yield at(reopen.position, "reopens")
        if self.solves:
            first, last = self.solves[0], self.solves[-1]
            yield at(first.position, "tickets_solved")
            yield at(first.position, "first_resolution", first.at_ms - self.created_at_ms)
            fcr = self.fcr(now_ms, fcr_parts, fcr_days)
            for name in ("one_touch", "no_followup", "no_reopen", "fcr", "fcr_final"):
                yield at(first.position, name, int(fcr[name]))
            yield at(first.position, "fcr_final_true", int(fcr["fcr_final"] and fcr["fcr"]))
            yield at(last.position, "solved_tickets")
            yield at(last.position, "full_resolution", last.at_ms - self.created_at_ms)
            for status, ms in self.status_ms(last.at_ms).items():
                yield at(last.position, f"{status}_ms", ms)

    def _of_survey(self, position: int, measure: str, amount: int) -> Contribution:
        """A survey carries the attributes of the last solve before it, at its own time."""
        solved = [solve.position for solve in self.solves if solve.position < position]
        return Contribution(self._at(position), self.attributes[(solved or [position])[-1]], measure, amount)


def judge(answer: dict[str, Any]) -> Amounts:
    """What one answer adds to the counts of its kind."""
    kind = answer["kind"]
    share = (answer["score"] - answer["scale_min"]) / (answer["scale_max"] - answer["scale_min"])
    counts = {f"{kind}_answers": 1}
    if kind == "csat":
        counts["csat_score_milli"] = round(1000 * (1 + 4 * share))
        counts["csat_satisfied"] = int(share >= 0.75 - TOLERANCE)
    elif kind == "ces":
        counts["ces_score_milli"] = round(1000 * (1 + 6 * share))
        counts["ces_easy"] = int(share >= 2 / 3 - TOLERANCE)
    elif 10 * share >= 9 - TOLERANCE:
        counts["nps_promoters"] = 1
    elif 10 * share >= 7 - TOLERANCE:
        counts["nps_passives"] = 1
    else:
        counts["nps_detractors"] = 1
    return counts
