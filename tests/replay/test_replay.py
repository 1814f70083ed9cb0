"""``deskpulse replay``: the answer is exact, whatever the order of the lines and however often they come."""

from __future__ import annotations

import gzip
import json
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deskpulse.cli import app
from schemas.events import decode
from sources.simulator import SimulatorConfig, simulate
from tests import oracle

INCIDENTS = Path(__file__).parents[3] / "shared" / "data" / "incidents.jsonl.gz"
START_MS = 1_780_272_000_000
"""2026-06-01T00:00Z."""


def replay(lines: list[bytes], folder: Path) -> dict[str, Any]:
    file = folder / "events.jsonl.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 1))
    return replay_file(file, folder)


def replay_file(file: Path, folder: Path) -> dict[str, Any]:
    arguments = ["replay", str(file), "--data", str(folder / "data"), "--format", "json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def expected(lines: list[bytes]) -> dict[str, Any]:
    """The answer by the oracle."""
    events = {event.id: event for event in map(decode, lines)}
    now_ms = max(round(event.at.timestamp() * 1000) for event in events.values())
    facts = oracle.facts(events.values(), now_ms)
    counted = [
        ticket
        for ticket in facts.values()
        if ticket["created_at_ms"] and not ticket["merged_into"] and not ticket["deleted"]
    ]
    surveys: dict[str, int] = {}
    for measures in oracle.cells(events.values(), now_ms, "hour").values():
        for name, n in measures.items():
            surveys[name] = surveys.get(name, 0) + n
    solved = [ticket for ticket in counted if ticket["solves"]]
    csat, nps = surveys["csat_answers"], surveys["nps_answers"]
    return {
        "events": len(events),
        "duplicates": len(lines) - len(events),
        "late": 0,
        "dead_letters": 0,
        "tickets": len(facts),
        "created": len(counted),
        "solves": sum(ticket["solves"] for ticket in counted),
        "tickets_solved": len(solved),
        "reopens": sum(ticket["reopens"] for ticket in counted),
        "tickets_reopened": sum(1 for ticket in counted if ticket["reopens"]),
        "open": sum(1 for ticket in counted if ticket["status"] not in ("solved", "closed")),
        **{name: duration(facts, f"{name}_seconds") for name in ("first_reply", "first_resolution", "full_resolution")},
        "fcr": {
            "n": len(solved),
            "true": sum(1 for ticket in solved if ticket["fcr"]),
            "ratio": round(sum(1 for ticket in solved if ticket["fcr"]) / len(solved), 6),
        },
        "csat": {
            "answers": csat,
            "mean": round(surveys["csat_score_milli"] / 1000 / csat, 6),
            "satisfied": surveys["csat_satisfied"],
            "ratio": round(surveys["csat_satisfied"] / csat, 6),
        },
        "nps": {
            "answers": nps,
            "promoters": surveys.get("nps_promoters", 0),
            "passives": surveys.get("nps_passives", 0),
            "detractors": surveys.get("nps_detractors", 0),
            "score": round(100 * (surveys.get("nps_promoters", 0) - surveys.get("nps_detractors", 0)) / nps, 6),
        },
    }


def duration(facts: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    values = sorted(ticket[name] for ticket in facts.values() if ticket.get(name) is not None)
    deciles = statistics.quantiles(values, n=10, method="inclusive")
    figures = {"mean": statistics.fmean(values), "p50": statistics.median(values), "p90": deciles[-1]}
    return {"n": len(values), **{f"{figure}_seconds": pytest.approx(v, abs=0.002) for figure, v in figures.items()}}


def without_processing(found: dict[str, Any]) -> dict[str, Any]:
    assert found["processing"]["seconds"] > 0
    assert found["processing"]["events_per_second"] > 0
    return {name: value for name, value in found.items() if name != "processing"}


def test_the_answer_is_that_of_the_oracle_for_shuffled_and_repeated_lines(tmp_path: Path) -> None:
    config = SimulatorConfig(START_MS, tickets=800, days=2, seed=11, complete=True)
    lines = [value for _, _, _, value in simulate(config)] * 2
    random.Random(3).shuffle(lines)
    assert without_processing(replay(lines, tmp_path)) == expected(lines)


def test_bad_lines_and_the_horizon_are_counted(tmp_path: Path) -> None:
    lines = [value for _, _, _, value in simulate(SimulatorConfig(START_MS, tickets=50, days=1, seed=5, complete=True))]
    answer = replay([*lines, b'{"type":"ticket.created"}', b"nonsense"], tmp_path)
    assert answer["dead_letters"] == 2
    assert answer["events"] == len(lines)


@pytest.mark.skipif(not INCIDENTS.exists(), reason="the incidents (shared/data) are not beside this checkout")
def test_the_incidents_give_their_known_answers(tmp_path: Path) -> None:
    answer = replay_file(INCIDENTS, tmp_path)
    assert {name: answer[name] for name in ("events", "duplicates", "late", "dead_letters")} == {
        "events": 166_630,
        "duplicates": 0,
        "late": 0,
        "dead_letters": 0,
    }
    assert {name: answer[name] for name in ("tickets", "created", "solves", "tickets_solved")} == {
        "tickets": 24_918,
        "created": 24_918,
        "solves": 25_250,
        "tickets_solved": 24_918,
    }
    assert {name: answer[name] for name in ("reopens", "tickets_reopened", "open")} == {
        "reopens": 332,
        "tickets_reopened": 276,
        "open": 0,
    }
    assert (answer["first_resolution"]["mean_seconds"], answer["first_resolution"]["p50_seconds"]) == (
        586_231.334,
        49_740,
    )
    assert (answer["full_resolution"]["mean_seconds"], answer["full_resolution"]["p50_seconds"]) == (
        595_190.665,
        54_450,
    )
