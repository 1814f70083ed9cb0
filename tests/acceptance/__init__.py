"""The worked examples of ``cases.yaml``, as events and expectations.

``cases.yaml``, ``calendars.yaml`` and ``README.md`` are kept as they were handed over.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """One worked example. ``expect`` has facts by ticket id; ``totals`` what all tickets add up to."""

    name: str
    calendar: str
    policy: Any
    events: tuple[AnyEvent, ...]
    now: datetime
    expect: dict[str, dict[str, Any]]
    totals: dict[str, Any]


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
        if not all(isinstance(value, dict) and name.startswith("T") for name, value in expect.items()):
            expect = {DEFAULT_TICKET: expect}
        now = _instant(told["now"], zone) if "now" in told else max(event.at for event in events)
        found.append(Case(told["name"], told["calendar"], told.get("policy"), events, now, expect, totals))
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
