"""The oracle itself: the worked examples, and laws that any right answer obeys."""

from __future__ import annotations

import random
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deskpulse.settings import Settings
from schemas.events import AnyEvent, at_ms, decode
from streams.config import DomainConfig
from streams.policies import Policies, Policy
from tests import oracle, strategies
from tests.acceptance import Case, cases

COUNTS_BY_NAME_IN_CASES = {
    "created": "created",
    "solved": "tickets_solved",
    "one_touch": "one_touch",
    "no_followup": "no_followup",
    "no_reopen": "no_reopen",
    "no_repeat": "no_repeat",
    "fcr": "fcr",
}
ACCEPTANCE = cases()
CONFIG = DomainConfig()
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def config_of(case: Case) -> DomainConfig:
    return Settings.model_validate(tomllib.loads(case.settings)).domain()


def explained(facts: dict[str, Any], sla: list[dict[str, Any]]) -> dict[str, Any]:
    """The oracle's facts in the form of the cases."""
    told = facts | {
        name: facts[name.replace("_business_", "_")]
        for name, value in facts.items()
        if name.endswith("_business_seconds") and value is None
    }
    told["next_replies"] = [in_seconds(wait) for wait in facts["next_replies"] or []]
    told["sla"] = [in_seconds(instance) for instance in sla]
    return told


def in_seconds(told: dict[str, Any]) -> dict[str, Any]:
    """Instants as RFC 3339, durations in seconds, each by the name that goes with it."""
    found = dict(told)
    for name, value in told.items():
        if name.endswith("_at_ms"):
            at = None if value is None else datetime.fromtimestamp(value / 1000, UTC)
            found[name.removesuffix("_ms")] = at and f"{at:%Y-%m-%dT%H:%M:%SZ}"
        elif name.endswith("_ms"):
            found[f"{name.removesuffix('_ms')}_seconds"] = None if value is None else value / 1000
    return found


def assert_holds(found: Any, expected: Any, where: str) -> None:
    """Is all there that is expected? Lists in whole, of what is in them what is named."""
    if isinstance(expected, list):
        assert len(found) == len(expected), (where, found)
        for n, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_holds(one, other, f"{where}[{n}]")
    elif isinstance(expected, dict):
        for name in expected:
            assert_holds(found[name], expected[name], f"{where}.{name}")
    else:
        assert found == expected, where


def totals_of(events: list[AnyEvent], now_ms: int, config: DomainConfig = CONFIG) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in oracle.contributions(events, now_ms, config):
        oracle.add(totals, oracle.amounts_of(one))
    return totals


@pytest.mark.parametrize("case", [c for c in ACCEPTANCE if c.expect], ids=lambda c: c.name)
def test_the_worked_examples_hold_in_any_order_and_delivered_twice(case: Case) -> None:
    shuffled = [*case.events, *case.events]
    random.Random(case.name).shuffle(shuffled)
    for events in (list(case.events), shuffled):
        facts = oracle.facts(events, at_ms(case.now), config_of(case))
        sla = oracle.sla(events, at_ms(case.now), config_of(case))
        for ticket_id, expected in case.expect.items():
            assert_holds(explained(facts[ticket_id], sla[ticket_id]), expected, ticket_id)


@pytest.mark.parametrize("case", [c for c in ACCEPTANCE if c.emitted], ids=lambda c: c.name)
def test_the_worked_examples_hold_before_and_after_what_is_known_late(case: Case) -> None:
    known_at = max(case.arrives.values())
    in_time = [event for event in case.events if event.id not in case.arrives]
    before = oracle.sla_events(in_time, at_ms(known_at), config_of(case))
    after = oracle.sla_events(case.events, at_ms(known_at), config_of(case))
    raised = {
        ("retracted" if withdrawn else kind, at_ms(known_at) if withdrawn else event_ms)
        for withdrawn in (False, True)
        for *_, kind, event_ms in (before - after if withdrawn else before)
        if kind != "at_risk"
    }
    assert case.emitted is not None
    assert raised == {(told["kind"], at_ms(datetime.fromisoformat(told["at"]))) for told in case.emitted}


PROMISED = DomainConfig(
    policies=Policies([Policy("all", targets={"first_reply": 3_600_000, "requester_wait": 7_200_000})])
)


def lived(*lines: str) -> list[dict[str, Any]]:
    """A ticket's events: the time of a day, and a status or who wrote."""
    events: list[dict[str, Any]] = []
    for n, (at, what) in enumerate(line.split() for line in lines):
        common = {"id": f"{n}", "ticket_id": "T1", "seq": n, "at": f"2026-06-01T{at}:00Z"}
        if n == 0:
            told = {"type": "ticket.created", "customer_id": "c", "channel": "chat", "priority": "low", "status": what}
        elif what in ("agent", "customer"):
            told = {"type": "message.sent", "author": what, "author_id": what, "visibility": "public"}
        else:
            told = {"type": "ticket.updated", "status": what}
        events.append(common | told)
    return events


def promises(target: str, events: list[dict[str, Any]], now: str) -> list[tuple[str, str | None, str | None]]:
    """Outcome, due time and end of each instance of a target, as the times of a day."""
    now_ms = at_ms(datetime.fromisoformat(f"2026-06-01T{now}:00Z"))
    return [
        (told["outcome"], *(told[name] and told[name][11:16] for name in ("due_at", "ended_at")))
        for told in map(in_seconds, oracle.sla(events, now_ms, PROMISED)["T1"])
        if told["target"] == target
    ]


def test_a_paused_clock_has_no_due_time_and_goes_on_where_it_stopped() -> None:
    events = lived("09:00 new", "10:00 pending", "12:00 open")
    assert promises("requester_wait", events[:2], "11:00") == [("active", None, None)]
    assert promises("requester_wait", events, "12:30") == [("active", "13:00", None)]
    assert promises("requester_wait", events, "13:01") == [("breached", "13:00", None)]


def test_the_time_solved_counts_for_no_target() -> None:
    events = lived("09:00 new", "10:30 solved", "15:00 open")
    assert promises("requester_wait", events[:2], "14:00") == [("met", "11:00", "10:30")]
    assert promises("requester_wait", events, "15:10") == [("active", "15:30", None)]


def test_what_was_solved_unanswered_and_reopened_is_promised_a_reply_again() -> None:
    events = lived("09:00 new", "09:30 solved", "12:00 open", "13:30 agent")
    assert promises("first_reply", events, "14:00") == [("met", "10:00", "09:30"), ("breached", "13:00", "13:30")]


@pytest.mark.parametrize("case", [c for c in ACCEPTANCE if "created" in c.totals or "solved" in c.totals])
def test_the_totals_of_the_worked_examples_hold(case: Case) -> None:
    totals = totals_of(list(case.events), at_ms(case.now))
    for name in COUNTS_BY_NAME_IN_CASES.keys() & case.totals.keys():
        assert totals[COUNTS_BY_NAME_IN_CASES[name]] == case.totals[name], name


@pytest.mark.parametrize("case", [c for c in ACCEPTANCE if c.totals.get("kind") == "nps"], ids=lambda c: c.name)
def test_the_net_promoter_scores_of_the_worked_examples_hold(case: Case) -> None:
    totals = totals_of(list(case.events), at_ms(case.now))
    found = {name: totals[f"nps_{name}"] for name in ("answers", "promoters", "passives", "detractors")}
    found["nps"] = 100 * (found["promoters"] - found["detractors"]) // found["answers"]
    assert found == {name: case.totals[name] for name in found}


@pytest.mark.parametrize("case", [c for c in ACCEPTANCE if c.totals.get("kind") == "csat"], ids=lambda c: c.name)
def test_the_satisfaction_of_the_worked_examples_holds(case: Case) -> None:
    totals = totals_of(list(case.events), at_ms(case.now))
    assert totals["csat_answers"] == case.totals["answers"]
    assert totals["csat_satisfied"] == case.totals["satisfied"]
    assert totals["csat_score_milli"] / totals["csat_answers"] / 1000 == pytest.approx(case.totals["csat_mean"])
    assert totals["csat_answers"] / totals["csat_sent"] == case.totals["response_ratio"]


@quickly
@given(st.data())
def test_everything_is_the_same_however_the_events_are_delivered(data: st.DataObject) -> None:
    events = data.draw(strategies.histories(max_events=25))
    config = data.draw(strategies.configs())
    now_ms = data.draw(strategies.nows_ms(events))
    delivered = [event for batch in data.draw(strategies.deliveries(events)) for event in batch]
    assert oracle.facts(delivered, now_ms, config) == oracle.facts(events, now_ms, config)
    assert oracle.sla(delivered, now_ms, config) == oracle.sla(events, now_ms, config)
    assert oracle.cells(delivered, now_ms, "minute", config) == oracle.cells(events, now_ms, "minute", config)


@quickly
@given(events=strategies.histories(max_tickets=1), now_ms=strategies.nows_ms())
def test_status_seconds_add_up_to_the_time_that_a_ticket_was_open(events: list[AnyEvent], now_ms: int) -> None:
    for found in oracle.facts(events, now_ms).values():
        if found["created_at_ms"] is None or found["solves"] or found["merged_into"] is not None:
            continue
        whole = max(now_ms, *(at_ms(event.at) for event in events)) - found["created_at_ms"]
        assert sum((found["status_seconds"] or {}).values()) == pytest.approx(whole / 1000)


@quickly
@given(events=strategies.histories(), now_ms=strategies.nows_ms(), config=strategies.configs())
def test_cells_agree_with_facts(events: list[AnyEvent], now_ms: int, config: DomainConfig) -> None:
    facts = [found for found in oracle.facts(events, now_ms, config).values() if found["created_at_ms"] is not None]
    kept = [found for found in facts if found["merged_into"] is None]
    hours = oracle.cells(events, now_ms, "hour", config)
    minutes = oracle.cells(events, now_ms, "minute", config)
    totals: dict[str, int] = {}
    for amounts in hours.values():
        oracle.add(totals, amounts)
    assert totals == totals_of(events, now_ms, config)
    assert sum(amounts.get("created", 0) for amounts in minutes.values()) == len(kept)
    for name in ("solves", "reopens"):
        assert totals.get(name, 0) == sum(found[name] for found in kept)
    for name in ("one_touch", "no_followup", "no_reopen", "no_repeat", "fcr", "fcr_final", "bot_resolved"):
        assert totals.get(name, 0) == sum(bool(found[name]) for found in kept)
    assert totals.get("recovered_tickets", 0) == sum(bool(found["service_recovery"]) for found in kept)
    assert totals.get("failed_tickets", 0) == sum(found["service_recovery"] is not None for found in kept)
    assert totals.get("agent_replies", 0) == sum(found["agent_replies"] for found in facts)
    for name in ("first_touch", "first_reply"):
        seconds = [found[f"{name}_seconds"] for found in facts if found[f"{name}_seconds"] is not None]
        assert totals.get(f"{name}_ms", 0) == round(1000 * sum(seconds))


@quickly
@given(events=strategies.histories(), now_ms=strategies.nows_ms(), config=strategies.configs())
def test_instances_keep_the_laws_of_their_outcomes(events: list[AnyEvent], now_ms: int, config: DomainConfig) -> None:
    facts = oracle.facts(events, now_ms, config)
    for ticket_id, instances in oracle.sla(events, now_ms, config).items():
        assert not instances or not facts[ticket_id]["deleted"]
        for one in instances:
            assert (one["breached_at_ms"] is not None) == (one["outcome"] == "breached")
            if one["outcome"] != "breached":
                assert (one["ended_at_ms"] is None) == (one["outcome"] == "active")
            if one["outcome"] == "breached":
                assert one["breached_at_ms"] == one["due_at_ms"]
                assert one["remaining_ms"] == 0
            else:
                assert one["overrun_ms"] is None
            if one["at_risk_raised"] and one["breached_at_ms"] is not None:
                assert one["at_risk_at_ms"] < one["breached_at_ms"]
        numbers = [(one["target"], one["started_at_ms"], one["number"]) for one in instances]
        assert len(set(numbers)) == len(numbers)
    for running in oracle.running(events, now_ms, config):
        assert facts[running.ticket_id]["status"] not in ("solved", "closed")
        assert facts[running.ticket_id]["merged_into"] is None


@quickly
@given(events=strategies.histories(), now_ms=strategies.nows_ms())
def test_the_longest_window_holds_what_the_hours_of_it_hold(events: list[AnyEvent], now_ms: int) -> None:
    config = DomainConfig(dimensions=("team",))
    by_dims = oracle.window_totals(events, now_ms, "30d", config)
    hours = oracle.cells(events, now_ms, "hour", config)
    recent = {pane for pane, _ in hours if pane <= now_ms < pane + 30 * oracle.DAY_MS}
    created = sum(amounts.get("created", 0) for (pane, _), amounts in hours.items() if pane in recent)
    groups = oracle.by_group(by_dims, ["team"])
    assert groups.get(("all", ""), {}).get("created", 0) == created
    assert sum(amounts.get("created", 0) for group, amounts in groups.items() if group[0] == "team") == created


@quickly
@given(events=strategies.histories())
def test_every_made_up_event_is_one_of_the_contract(events: list[AnyEvent]) -> None:
    assert [decode(strategies.encode(event)) for event in events] == events
    assert len({event.id for event in events}) == len(events)
