"""The facts of one ticket, and those of the program in the same form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec

from schemas.outputs import NextReply, TicketFacts
from tests.oracle.desk import Desk
from tests.oracle.durations import Duration, durations, status_ms
from tests.oracle.story import DAY_MS, Story, Wait
from tests.oracle.surveys import told
from tests.oracle.waits import is_unanswered, reply_waits

BUSINESS = "_business_seconds"


def comparable(found: TicketFacts) -> dict[str, Any]:
    """The program's facts in the oracle's form: every field but ``as_of_ms``, empty collections as None, and None for
    a time within opening hours that is the elapsed one."""
    fields = {name: getattr(found, name) for name in TicketFacts.__struct_fields__ if name != "as_of_ms"}
    fields["status_seconds"] = fields["status_seconds"] or {}
    for name in ("status_seconds", "status_business_seconds"):
        if fields[name] is not None:
            fields[name] = {status: round(s, 3) for status, s in fields[name].items() if s}
    fields["next_replies"] = [_comparable(reply) for reply in found.next_replies or []] or None
    answers = [told(msgspec.to_builtins(answer) | {"at_ms": answer.answered_at_ms}) for answer in found.answers or []]
    fields["answers"] = sorted(answers, key=lambda answer: str(answer["survey_id"])) or None
    fields["surveys_sent"] = fields["surveys_sent"] or None
    fields = {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
    return _without_the_same(fields)


def _comparable(reply: NextReply) -> dict[str, Any]:
    fields = {name: getattr(reply, name) for name in NextReply.__struct_fields__}
    fields = {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
    if fields["business_seconds"] == fields["seconds"]:
        fields["business_seconds"] = None
    return fields


def _without_the_same(fields: dict[str, Any]) -> dict[str, Any]:
    """Without the times within opening hours that are the elapsed ones; no time in any status is None."""
    found = dict(fields)
    for name in found:
        if name.endswith(BUSINESS) and found[name] == found[name.replace(BUSINESS, "_seconds")]:
            found[name] = None
    found["status_seconds"] = found["status_seconds"] or None
    return found


def facts_of(story: Story, desk: Desk) -> dict[str, Any]:
    """See ``tests.oracle.facts``."""
    facts = comparable(TicketFacts(ticket_id=story.ticket_id, as_of_ms=0))
    facts["events"] = len(story.history)
    facts["deleted"] = story.deleted
    if not story.lives:
        return facts
    merged_into = None if story.merge is None else story.history[story.merge]["into"]
    facts |= {"merged_into": merged_into, "created_at_ms": story.created_at_ms} | story.attributes[-1]
    if not story.began:
        return facts
    facts["policy"] = "" if story.policy is None else story.policy.name
    facts["status"] = story.status
    facts["status_since_ms"] = [step.at_ms for step in story.steps if step.status != step.status_before][-1]
    facts["solves"] = len(story.solves)
    facts["reopens"] = len(story.reopenings)
    facts |= _of_time(story)
    facts |= _of_messages(story)
    if story.solves:
        facts["first_solved_at_ms"] = story.solves[0].at_ms
        facts["last_solved_at_ms"] = story.solves[-1].at_ms
        facts |= first_contact(story, desk)
    facts["service_recovery"] = desk.is_recovered(story)
    kinds = [survey.event["kind"] for survey in story.sent.values()]
    facts["surveys_sent"] = {kind: kinds.count(kind) for kind in kinds} or None
    facts["answers"] = [told(story.answered[survey_id].event) for survey_id in sorted(story.answered)] or None
    return _without_the_same(facts)


def _of_time(story: Story) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, duration in durations(story).items():
        facts[f"{name}_seconds"] = duration.ms / 1000
        facts[f"{name}{BUSINESS}"] = duration.business_ms / 1000
        if name == "first_reply":
            facts["first_reply_at_ms"] = duration.end.at_ms
    facts["next_replies"] = [
        _next_reply(story, wait) for wait in reply_waits(story) if wait.target == "next_reply"
    ] or None
    until_ms = story.steps[-1].at_ms if story.merge is not None else story.now_ms
    for suffix, spent in (
        ("_seconds", status_ms(story, until_ms)),
        (BUSINESS, status_ms(story, until_ms, business=True)),
    ):
        facts[f"status{suffix}"] = {status: ms / 1000 for status, ms in spent.items()}
        facts[f"requester_wait{suffix}"] = sum(spent.get(status, 0) for status in ("new", "open", "on_hold")) / 1000
        facts[f"agent_work{suffix}"] = sum(spent.get(status, 0) for status in ("new", "open")) / 1000
    return facts


def _next_reply(story: Story, wait: Wait) -> dict[str, Any]:
    start = story.steps[wait.start]
    found: dict[str, Any] = dict.fromkeys(NextReply.__struct_fields__)
    found |= {"started_at_ms": start.at_ms, "ended_by": wait.ended_by}
    if wait.end is not None:
        took = Duration(start.at_ms, story.steps[wait.end])
        found |= {"ended_at_ms": took.end.at_ms, "seconds": took.ms / 1000}
        if took.business_ms != took.ms:
            found["business_seconds"] = took.business_ms / 1000
    return found


def _of_messages(story: Story) -> dict[str, Any]:
    customers, agents, bots = (story.public_by(author) for author in ("customer", "agent", "bot"))
    channels = [step.event.get("channel", step.attributes["channel"]) for step in customers]
    contacts = len(customers)
    if story.steps[0].attributes["origin"] == "customer":
        channels = [story.steps[0].attributes["channel"], *channels]
        contacts = 1 + len([step for step in customers if step.at_ms > story.created_at_ms])
    facts: dict[str, Any] = {
        "agent_replies": len(agents),
        "customer_messages": contacts,
        "agents": len(
            {step.event["author_id"] for step in story.steps if step.is_message and step.event["author"] == "agent"}
        ),
        "channel_switches": sum(1 for one, other in pairwise(channels) if one != other),
        "unanswered": is_unanswered(story),
    }
    if agents or bots:
        facts["handled_by"] = "both" if agents and bots else "human" if agents else "bot"
    return facts


def first_contact(story: Story, desk: Desk) -> dict[str, bool]:
    """What a ticket that was solved says of first-contact resolution."""
    solve = story.solves[0]
    limit_ms = solve.at_ms + desk.config.fcr_days * DAY_MS
    told = {
        "one_touch": len([step for step in story.public_by("agent") if step.at_ms <= limit_ms]) <= 1,
        "no_followup": not [s for s in story.public_by("customer") if story.created_at_ms < s.at_ms <= limit_ms],
        "no_reopen": not [step for step in story.reopenings if step.at_ms <= limit_ms],
    }
    told["no_repeat"] = told["no_reopen"] and not desk.is_repeated(story)
    told["fcr"] = all(told[part] for part in desk.config.fcr_parts)
    told["fcr_final"] = not told["fcr"] or story.now_ms > limit_ms
    told["bot_resolved"] = wrote_before(story, "bot") and not wrote_before(story, "agent")
    told["bot_resolved_durably"] = told["bot_resolved"] and told["no_repeat"]
    return told


def wrote_before(story: Story, author: str) -> bool:
    """Did one of this kind write publicly before the first solve?"""
    return any(step.is_public_by(author) for step in story.steps[: story.steps.index(story.solves[0])])
