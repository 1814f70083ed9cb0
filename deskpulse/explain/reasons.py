"""Each fact of a ticket with one line that says where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from deskpulse.explain.clocks import why_started
from deskpulse.explain.document import document
from deskpulse.explain.events import placed
from deskpulse.explain.words import LocalTime, business, duration, printable
from schemas.events import MessageSent
from streams.batch import Told
from streams.config import DAY_MS, DomainConfig
from streams.story import Moment

UNKNOWN = "-"


class Fact(NamedTuple):
    """One fact in words."""

    name: str
    value: str
    business: str
    """The same within opening hours; '' of what is no duration."""
    why: str


def reasons(told: Told, config: DomainConfig, at: LocalTime) -> list[Fact]:
    """The facts of a ticket that has begun, and of any other what is known of it."""
    found = document(told)
    if told.facts.story is None or not told.record.status:
        names = ("created_at", "merged_into", "deleted")
        return [Fact(name, _shown(found[name]), "", "") for name in names]
    reader = _Reader(told, config, at, found)
    return [*reader.durations(), *reader.counts(), *reader.first_contact(), *reader.rest()]


class _Reader:
    """Reads the facts of one ticket."""

    def __init__(self, told: Told, config: DomainConfig, at: LocalTime, document: dict[str, Any]) -> None:
        assert told.facts.story is not None
        self.told = told
        self.facts = told.facts
        self.story = told.facts.story
        self.config = config
        self.at = at
        self.document = document
        self.events = placed(told.history)

    def fact(self, name: str, why: str) -> Fact:
        return Fact(name, _shown(self.document[name]), "", why)

    def duration(self, name: str, why: str) -> Fact:
        elapsed, opened = (self.document[f"{name}{unit}"] for unit in ("_seconds", "_business_seconds"))
        return Fact(name, _duration(elapsed), _business(opened), why)

    def message(self, moment: Moment) -> str:
        """Who wrote the message of a moment, and when."""
        event = self.events[moment.place]
        author = f"{event.author} {printable(event.author_id)}" if isinstance(event, MessageSent) else "somebody"
        return f"the message of {author}, {self.at(moment.at)}"

    def durations(self) -> Iterator[Fact]:
        facts, story, at = self.facts, self.story, self.at
        touch = facts.first_touch
        none = "nobody of the desk has written to the customer"
        yield self.duration("first_touch", none if touch is None else f"creation to {self.message(touch)}")
        yield self.duration("first_reply", self._first_reply())
        reply, handoff = facts.handoff_reply, story.handoff
        if handoff is None:
            why = "no bot handed it over"
        elif reply is None:
            why = f"no reply since the handover, {at(handoff.at)}"
        else:
            why = f"the handover, {at(handoff.at)}, to {self.message(reply)}"
        yield self.duration("handoff_reply", why)
        for number, wait in enumerate(self.document["next_replies"], start=1):
            ended = f"ended by the {wait['ended_by']}" if wait["ended_by"] else "runs"
            begun = at(facts.next_replies[number - 1].started_at)
            values = _duration(wait["seconds"]), _business(wait["business_seconds"])
            yield Fact(f"next_replies {number}", *values, f"from {begun}, {ended}")
        opened = self.document["status_business_seconds"]
        for status, spent in self.document["status_seconds"].items():
            why = "from the creation on" if facts.merged_into is None else "from the creation to the merge"
            yield Fact(f"status {status}", _duration(spent), _business(opened.get(status, 0)), why)
        yield self.duration("requester_wait", "new, open and on_hold")
        yield self.duration("agent_work", "new and open")
        for name, solve in (("first_resolution", facts.first_solve), ("full_resolution", facts.last_solve)):
            which = "first" if name == "first_resolution" else "last"
            why = "never solved" if solve is None else f"creation to the {which} solve, {at(solve.at)}"
            yield self.duration(name, why)

    def _first_reply(self) -> str:
        reply, start = self.facts.first_reply, self.story.reply_start
        if start is None:
            return "the customer has not written: nothing is awaited"
        begun = f"{why_started(self.story, start)}, {self.at(start.at)}"
        return f"no agent has replied since {begun}" if reply is None else f"{begun}, to {self.message(reply)}"

    def counts(self) -> Iterator[Fact]:
        yield self.fact("solves", "entries into solved or closed" + self._list(self.facts.solves))
        yield self.fact("reopens", "departures from solved or closed" + self._list(self.facts.reopens))
        yield self.fact("agent_replies", "public messages by agents" + self._list(self.facts.agent_replies))
        begun = "the creation and " if self.story.creation.state.started_by_customer else ""
        yield self.fact("customer_messages", f"{begun}the customer's public messages, one for an instant")
        yield self.fact("agents", "different agents that wrote, internal notes included")
        yield self.fact("channel_switches", "changes of channel along the customer's contacts")

    def _list(self, moments: Any) -> str:
        times = [self.at(moment.at) for moment in moments[:3]]
        more = f" and {len(moments) - 3} more" if len(moments) > 3 else ""
        return f": {', '.join(times)}{more}" if times else ""

    def first_contact(self) -> Iterator[Fact]:
        solve = self.facts.first_solve
        parts = ("one_touch", "no_followup", "no_reopen", "no_repeat", "fcr", "fcr_final")
        if solve is None:
            yield from (self.fact(name, "never solved") for name in parts)
            return
        until = self.at(solve.at + self.config.fcr_days * DAY_MS)
        told = {
            "one_touch": ("at most one public message by an agent", "several public messages by agents"),
            "no_followup": ("the customer has not written after the creation", "the customer wrote after the creation"),
            "no_reopen": ("not reopened", "reopened"),
            "no_repeat": ("no other ticket about the same", "reopened"),
        }
        if not self.facts.no_repeat and self.facts.no_reopen:
            told["no_repeat"] = ("", "the customer began another ticket of the same category")
        for name, (holds, fails) in told.items():
            yield self.fact(name, f"{holds if self.document[name] else fails}, up to {until}")
        yield self.fact("fcr", f"all of {', '.join(self.config.fcr_parts)}")
        if not self.facts.fcr_final:
            why = f"a success can still fail, up to {until}"
        else:
            why = f"a success is final after {until}" if self.facts.fcr else "a failure is final at once"
        yield self.fact("fcr_final", why)

    def rest(self) -> Iterator[Fact]:
        facts = self.facts
        sent = self.document["surveys_sent"]
        listed = ", ".join(f"{kind} {number}" for kind, number in sent.items())
        yield Fact("surveys_sent", listed or "0", "", "each survey once, at its first sending")
        for survey in self.document["surveys"]:
            scale = f"{survey['score']} of {survey['scale_min']} to {survey['scale_max']}"
            name = f"survey {printable(survey['survey_id'])}"
            yield Fact(name, survey["category"], "", f"{survey['kind']}: the last answer is {scale}")
        yield self.fact("handled_by", "who wrote public messages to the customer")
        solved = facts.first_solve is not None
        if not solved:
            why = "never solved"
        elif facts.bot_resolved:
            why = "a bot wrote before the first solve, and no agent did"
        else:
            writer = "an agent" if facts.bot_before_solve else "no bot"
            why = f"{writer} wrote before the first solve"
        yield self.fact("bot_resolved", why)
        days = self.config.fcr_days
        yield self.fact("bot_resolved_durably", f"and no_repeat within {days} days" if solved else "never solved")
        yield self.fact("service_recovery", self._recovery())
        yield self.fact("merged_into", "merged" if facts.merged_into is not None else "not merged")
        yield self.fact("deleted", "not deleted")

    def _recovery(self) -> str:
        if not self.facts.failures:
            return "no failure: neither a bad answer nor a breach"
        failed = self.at(self.facts.failures[0][0])
        answered = "a" if self.facts.service_recovery else "no"
        return f"first failure {failed}; {answered} good answer of the customer within 30 days of a failure"


def _shown(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else printable(str(value))


def _duration(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else duration(round(seconds * 1000))


def _business(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else business(round(seconds * 1000))
