"""What the answer of a survey says."""

from __future__ import annotations

from typing import Any

from tests.oracle.story import Event

SCALES = {"csat": (1.0, 5.0), "nps": (0.0, 10.0), "ces": (1.0, 7.0)}
TOLERANCE = 1e-9


def told(event: Event) -> dict[str, Any]:
    """An answer as the facts tell it."""
    low, high = SCALES[event["kind"]]
    return {
        "survey_id": event["survey_id"],
        "kind": event["kind"],
        "score": float(event["score"]),
        "scale_min": float(event.get("scale_min", low)),
        "scale_max": float(event.get("scale_max", high)),
        "answered_at_ms": event["at_ms"],
    }


def judge(event: Event) -> dict[str, int]:
    """What an answer adds to the counts of its kind."""
    answer = told(event)
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


def is_failure(event: Event) -> bool:
    """An unsatisfied CSAT answer or a detractor."""
    found = judge(event)
    return found.get("csat_satisfied") == 0 or "nps_detractors" in found


def is_recovery(event: Event) -> bool:
    """A satisfied CSAT answer or a promoter."""
    found = judge(event)
    return found.get("csat_satisfied") == 1 or "nps_promoters" in found
