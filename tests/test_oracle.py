"""The oracle itself: the worked examples, and laws that any right answer obeys."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import AnyEvent, at_ms, decode
from tests import oracle, strategies
from tests.acceptance import Case, cases

FACTS_OF_THIS_ORACLE = {
    "first_touch_seconds",
    "first_reply_seconds",
    "first_resolution_seconds",
    "full_resolution_seconds",
    "solves",
    "reopens",
    "agent_replies",
    "status_seconds",
    "one_touch",
    "no_followup",
    "no_reopen",
}
COUNTS_BY_NAME_IN_CASES = {
    "created": "created",
    "solved": "tickets_solved",
    "one_touch": "one_touch",
    "no_followup": "no_followup",
    "no_reopen": "no_reopen",
}
ACCEPTANCE = cases()
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def told(case: Case, ticket_id: str) -> dict[str, Any]:
    return {name: value for name, value in case.expect[ticket_id].items() if name in FACTS_OF_THIS_ORACLE}


def totals_of(events: list[AnyEvent], now_ms: int) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in oracle.contributions(events, now_ms):
        oracle.add(totals, oracle.amounts_of(one))
    return totals


@pytest.mark.parametrize("case", [c for c in ACCEPTANCE if any(told(c, t) for t in c.expect)], ids=lambda c: c.name)
def test_the_worked_examples_hold_in_any_order_and_delivered_twice(case: Case) -> None:
    shuffled = [*case.events, *case.events]
    random.Random(case.name).shuffle(shuffled)
    for events in (list(case.events), shuffled):
        found = oracle.facts(events, at_ms(case.now))
        for ticket_id in case.expect:
            expected = told(case, ticket_id)
            assert {name: found[ticket_id][name] for name in expected} == expected


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
def test_facts_and_cells_are_the_same_however_the_events_are_delivered(data: st.DataObject) -> None:
    events = data.draw(strategies.histories(max_tickets=2, max_events=20))
    now_ms = data.draw(strategies.nows_ms())
    delivered = [event for batch in data.draw(strategies.deliveries(events)) for event in batch]
    assert oracle.facts(delivered, now_ms) == oracle.facts(events, now_ms)
    assert oracle.cells(delivered, now_ms, "minute") == oracle.cells(events, now_ms, "minute")


@quickly
@given(events=strategies.histories(max_tickets=1), now_ms=strategies.nows_ms())
def test_status_seconds_add_up_to_the_time_that_a_ticket_was_open(events: list[AnyEvent], now_ms: int) -> None:
    for found in oracle.facts(events, now_ms).values():
        if found["created_at_ms"] is None or found["solves"] or found["merged_into"] is not None:
            continue
        whole = max(now_ms, *(at_ms(event.at) for event in events)) - found["created_at_ms"]
        assert sum((found["status_seconds"] or {}).values()) == pytest.approx(whole / 1000)


@quickly
@given(events=strategies.histories(), now_ms=strategies.nows_ms())
def test_cells_agree_with_facts(events: list[AnyEvent], now_ms: int) -> None:
    facts = [found for found in oracle.facts(events, now_ms).values() if found["created_at_ms"] is not None]
    kept = [found for found in facts if found["merged_into"] is None]
    hours = oracle.cells(events, now_ms, "hour")
    minutes = oracle.cells(events, now_ms, "minute")
    totals: dict[str, int] = {}
    for amounts in hours.values():
        oracle.add(totals, amounts)
    assert totals == totals_of(events, now_ms)
    assert sum(amounts.get("created", 0) for amounts in minutes.values()) == len(kept)
    for name in ("solves", "reopens"):
        assert totals.get(name, 0) == sum(found[name] for found in kept)
    for name in ("one_touch", "no_followup", "no_reopen", "fcr", "fcr_final"):
        assert totals.get(name, 0) == sum(bool(found[name]) for found in kept)
    assert totals.get("agent_replies", 0) == sum(found["agent_replies"] for found in facts)
    for name in ("first_touch", "first_reply"):
        seconds = [found[f"{name}_seconds"] for found in facts if found[f"{name}_seconds"] is not None]
        assert totals.get(f"{name}_ms", 0) == round(1000 * sum(seconds))


@quickly
@given(events=strategies.histories(), now_ms=strategies.nows_ms())
def test_the_longest_window_holds_what_the_hours_of_it_hold(events: list[AnyEvent], now_ms: int) -> None:
    by_dims = oracle.window_totals(events, now_ms, "30d", ["team"])
    hours = oracle.cells(events, now_ms, "hour", ["team"])
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
