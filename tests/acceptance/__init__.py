"""The worked examples of ``cases.yaml``, as events, settings and expectations.

``cases.yaml``, ``calendars.yaml`` and ``README.md`` are kept as they were handed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import yaml

from schemas.events import AnyEvent

HERE = Path(__file__).parent
DEFAULT_TICKET = "T1"


@dataclass(frozen=True)
class Case:
    """One worked example."""

    name: str
    calendar: str
    policy: Any
    events: tuple[AnyEvent, ...]
    now: datetime
    expect: dict[str, dict[str, Any]]
    """Facts by ticket id."""
    totals: dict[str, Any]
    """What all tickets add up to."""
    arrives: dict[str, datetime] = field(default_factory=dict)
    """By the id of an event that is known late: when it is."""
    emitted: tuple[dict[str, str], ...] | None = None
    """What is raised while the events arrive, in order: ``at`` (RFC 3339) and ``kind``; None where it is not told."""

    @property
    def settings(self) -> str:
        """The calendar and the policies of the case, as a settings file."""
        told = yaml.safe_load(_text("calendars.yaml"))[self.calendar]
        lines = [f"[calendars.{self.calendar}]", f"zone = {json.dumps(told['zone'])}"]
        if told.get("open") == "always":
            lines.append('hours = "always"')
        else:
            days = {name: hours for name, hours in told.items() if name not in ("zone", "holidays")}
            lines.append(f"hours = {_inline(days)}")
        if "holidays" in told:
            lines.append(f"holidays = {_inline({'dates': told['holidays']})}")
        policies = self.policy if isinstance(self.policy, list) else [self.policy or {}]
        for number, policy in enumerate(policies, start=1):
            targets = dict(policy)
            when = {name: [value] for name, value in targets.pop("when", {}).items()}
            lines += ["", "[[policies]]", f'name = "policy {number}"', f"calendar = {json.dumps(self.calendar)}"]
            lines += [f"when = {_inline(when)}", f"targets = {_inline(targets)}"]
        return "\n".join(lines) + "\n"

    def lines(self, events: Iterable[AnyEvent] | None = None) -> bytes:
        """Events (those of the case, else) as JSONL."""
        return b"".join(msgspec.json.encode(event) + b"\n" for event in (self.events if events is None else events))


def _inline(table: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items()) + " }"


def cases() -> list[Case]:
    """Every case; one whose answers change is two cases, before and after the change."""
    zones = {name: ZoneInfo(told["zone"]) for name, told in yaml.safe_load(_text("calendars.yaml")).items()}
    found = []
    for told in yaml.safe_load(_text("cases.yaml")):
        zone = zones[told["calendar"]]
        if "surveys" in told:
            found += _survey_cases(told)
            continue
        events = tuple(_event(n, line, zone) for n, line in enumerate(told["events"]))
        expect = dict(told["expect"])
        totals = expect.pop("all", {})
        emitted = expect.pop("emitted", None)
        if not all(isinstance(value, dict) and name.startswith("T") for name, value in expect.items()):
            expect = {DEFAULT_TICKET: expect}
        now = _instant(told["now"], zone) if "now" in told else max(event.at for event in events)
        arrives = {
            event.id: _instant(line["arrives"], zone)
            for event, line in zip(events, told["events"], strict=True)
            if "arrives" in line
        }
        found.append(
            Case(
                name=told["name"],
                calendar=told["calendar"],
                policy=told.get("policy"),
                events=events,
                now=now,
                expect=expect,
                totals=totals,
                arrives=arrives,
                emitted=None if emitted is None else tuple(emitted),
            )
        )
    return found


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _instant(at: str, zone: ZoneInfo) -> datetime:
    told = datetime.fromisoformat(at)
    return (told if told.tzinfo else told.replace(tzinfo=zone)).astimezone(UTC)


def _event(n: int, line: dict[str, Any], zone: ZoneInfo) -> AnyEvent:
    """One line of a case; what stands later in the list is later in the history."""
    fields = {name: value for name, value in line.items() if name not in ("ticket", "do", "at", "arrives")}
    common = {
        "id": f"event {n}",
        "ticket_id": line.get("ticket", DEFAULT_TICKET),
        "at": _instant(line["at"], zone).isoformat(),
        "seq": n,
    }
    match line["do"]:
        case "create":
            fields["customer_id"] = fields.pop("customer", "customer")
            told = {"type": "ticket.created"} | fields
        case "say":
            visibility = "internal" if fields.get("note") else "public"
            told = {"type": "message.sent", "author": fields["by"], "author_id": fields["by"], "visibility": visibility}
        case "set":
            told = {"type": "ticket.updated"} | fields
        case "merge":
            told = {"type": "ticket.merged"} | fields
        case "survey_sent":
            told = {"type": "survey.sent", "survey_id": "survey"} | fields
        case "answer":
            told = {"type": "survey.answered", "survey_id": "survey"} | fields
        case unknown:
            raise ValueError(f"cases.yaml: `do` is {unknown!r}")
    event: AnyEvent = msgspec.convert(common | told, AnyEvent)
    return event


def _survey_cases(told: dict[str, Any]) -> list[Case]:
    """Each answer is one solved ticket's, each sent survey as well; a changed answer is a second one."""
    kind, answers = told["surveys"]["kind"], told["surveys"]["answers"]
    sent = told["surveys"].get("sent", 0)
    lines = [
        line
        for n in range(max(sent, len(answers)))
        for line in (
            {"ticket": f"T{n}", "at": "2026-06-01 10:00", "do": "create", "channel": "chat", "priority": "normal"},
            {"ticket": f"T{n}", "at": "2026-06-01 11:00", "do": "set", "status": "solved"},
            *([{"ticket": f"T{n}", "at": "2026-06-01 11:01", "do": "survey_sent", "kind": kind}] if n < sent else []),
        )
    ]
    lines += [
        {"ticket": f"T{n}", "at": "2026-06-01 12:00", "do": "answer", "kind": kind, "score": score}
        for n, score in enumerate(answers)
    ]
    utc = ZoneInfo("UTC")
    variants = [(told["name"], lines, told["expect"])]
    if change := told.get("then_change"):
        n = answers.index(change["from"])
        again = {"ticket": f"T{n}", "at": "2026-06-01 13:00", "do": "answer", "kind": kind, "score": change["to"]}
        variants.append((f"{told['name']}: after the change", [*lines, again], told["expect_then"]))
    found = []
    for name, some, totals in variants:
        events = tuple(_event(n, line, utc) for n, line in enumerate(some))
        now = max(event.at for event in events)
        found.append(Case(name, told["calendar"], None, events, now, {}, totals | {"kind": kind}))
    return found
