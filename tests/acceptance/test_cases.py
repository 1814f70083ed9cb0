"""``deskpulse explain`` on every worked example: exactly what is expected, in whatever way the events are delivered."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deskpulse.cli import run
from schemas.events import AnyEvent
from tests.acceptance import Case, cases

CASES = cases()
ROOT = Path(__file__).parents[2]
Explain = Callable[[Case, Sequence[AnyEvent]], dict[str, dict[str, Any]]]
DELIVERIES = ("in order", "shuffled 1", "shuffled 2", "shuffled 3", "doubled", "doubled and shuffled")
FIRST_CONTACT = ("one_touch", "no_followup", "no_reopen", "no_repeat", "fcr")

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def delivered(case: Case, how: str) -> list[AnyEvent]:
    events = list(case.events) * (2 if "doubled" in how else 1)
    if "shuffled" in how:
        random.Random(f"{case.name} {how}").shuffle(events)
    return events


def arguments(case: Case, events: Sequence[AnyEvent], folder: Path) -> list[str]:
    (folder / "events.jsonl").write_bytes(case.lines(events))
    (folder / "deskpulse.toml").write_text(case.settings)
    asked = ["explain", str(folder / "events.jsonl"), "--config", str(folder / "deskpulse.toml"), "--format", "json"]
    # Without `--now` the last event is now, as in the cases.
    return asked if case.now == max(event.at for event in case.events) else [*asked, "--now", case.now.isoformat()]


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Explain:
    for name in [name for name in os.environ if name.startswith("DESKPULSE_")]:
        monkeypatch.delenv(name)

    def told(case: Case, events: Sequence[AnyEvent]) -> dict[str, dict[str, Any]]:
        capsys.readouterr()
        code = run(arguments(case, events, tmp_path))
        said = capsys.readouterr()
        assert (code, said.err) == (0, "")
        return by_ticket(said.out)

    return told


def by_ticket(output: str) -> dict[str, dict[str, Any]]:
    found = json.loads(output)
    assert [one["ticket_id"] for one in found] == sorted(one["ticket_id"] for one in found)
    return {one["ticket_id"]: one for one in found}


def told_of(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What was found of what is expected; of the members of a list, too."""
    return {name: _as_far(found[name], value) for name, value in expected.items()}


def _as_far(found: Any, expected: Any) -> Any:
    if isinstance(expected, list) and len(found) == len(expected):
        return [told_of(one, wanted) for one, wanted in zip(found, expected, strict=True)]
    return found


def assert_told(case: Case, found: dict[str, dict[str, Any]]) -> None:
    assert {ticket: told_of(found[ticket], wanted) for ticket, wanted in case.expect.items()} == case.expect
    tickets = list(found.values())
    if "created" in case.totals:
        counted = [one for one in tickets if one["created_at"] and not one["deleted"] and not one["merged_into"]]
        assert len(counted) == case.totals["created"]
    if "solved" in case.totals:
        assert sum(bool(one["solves"]) for one in tickets) == case.totals["solved"]
    for part in case.totals.keys() & set(FIRST_CONTACT):
        assert sum(one[part] is True for one in tickets) == case.totals[part], part
    if "kind" in case.totals:
        expected = {name: value for name, value in case.totals.items() if name != "kind"}
        assert told_of(surveys(tickets, case.totals["kind"]), expected) == expected


def surveys(tickets: list[dict[str, Any]], kind: str) -> dict[str, float]:
    answers = [answer for one in tickets for answer in one["surveys"] if answer["kind"] == kind]
    categories = [answer["category"] for answer in answers]
    sent = sum(one["surveys_sent"].get(kind, 0) for one in tickets)
    promoters, detractors = categories.count("promoter"), categories.count("detractor")
    return {
        "answers": len(answers),
        "promoters": promoters,
        "passives": categories.count("passive"),
        "detractors": detractors,
        "nps": 100 * (promoters - detractors) / len(answers),
        "satisfied": categories.count("satisfied"),
        "csat_ratio": categories.count("satisfied") / len(answers),
        "csat_mean": sum(answer["score"] for answer in answers) / len(answers),
        "response_ratio": len(answers) / sent if sent else 0.0,
    }


@pytest.mark.parametrize("how", DELIVERIES)
@each_case
def test_explain_gives_what_a_worked_example_expects(case: Case, how: str, explain: Explain) -> None:
    assert_told(case, explain(case, delivered(case, how)))


def test_the_installed_command_gives_it_too(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name.startswith("first contact resolution"))
    command = [sys.executable, "-m", "deskpulse", *arguments(case, case.events, tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DESKPULSE_")}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert_told(case, by_ticket(ran.stdout))
