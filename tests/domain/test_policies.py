from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskpulse.settings_sla import week_of
from schemas.outputs import ATTRIBUTES
from streams.calendars import ALWAYS, Calendar
from streams.policies import Policies, Policy

BERLIN = Calendar("Europe/Berlin", week_of({"mon-fri": ["09:00-17:00"]}), name="berlin")
URGENT_CHAT = Policy(
    "urgent chat", when={"priority": ("urgent",), "channel": ("chat", "phone")}, targets={"first_reply": 60_000}
)
URGENT = Policy("urgent", when={"priority": ("urgent",)}, targets={"first_reply": 900_000, "resolution": 14_400_000})
NOBODYS = Policy("nobody's", when={"team": ("",), "tier": ("gold",)})
REST = Policy("rest", calendar=BERLIN)

values = st.sampled_from(["", "urgent", "chat", "phone", "gold", "low"])
attributes = st.dictionaries(st.sampled_from(ATTRIBUTES), values)
conditions = st.dictionaries(st.sampled_from(ATTRIBUTES), st.lists(values, min_size=1).map(tuple), max_size=3)


@st.composite
def policies(draw: st.DrawFn) -> Policies:
    return Policies(
        [Policy(str(number), when=when) for number, when in enumerate(draw(st.lists(conditions, max_size=5)))]
    )


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"priority": "urgent", "channel": "phone"}, "urgent chat"),
        ({"priority": "urgent", "channel": "email"}, "urgent"),
        ({"priority": "low", "channel": "chat", "tier": "gold"}, "nobody's"),
        ({"priority": "low", "channel": "chat", "tier": "gold", "team": "billing"}, "rest"),
        ({}, "rest"),
    ],
)
def test_the_first_policy_that_fits_holds(told: dict[str, str], name: str) -> None:
    matched = Policies([URGENT_CHAT, URGENT, NOBODYS, REST]).match(told)
    assert matched is not None
    assert matched.name == name


def test_without_a_policy_that_fits_there_is_none() -> None:
    assert Policies([URGENT, NOBODYS]).match({"priority": "low"}) is None
    assert Policies().match({}) is None


def test_a_policy_without_targets_gives_its_calendar() -> None:
    rest = Policies([REST]).match({})
    assert rest is not None
    assert rest.calendar is BERLIN
    assert not rest.targets
    assert URGENT.calendar is ALWAYS


@given(policies(), st.lists(attributes, min_size=1))
def test_what_was_asked_before_changes_nothing(listed: Policies, tickets: list[dict[str, str]]) -> None:
    for told in [*tickets, *tickets]:
        fits = [
            policy for policy in listed if all(told.get(name, "") in allowed for name, allowed in policy.when.items())
        ]
        expected = fits[0] if fits else None
        assert listed.match(told) is expected
        assert listed.match(tuple(told.get(name, "") for name in ATTRIBUTES)) is expected


def test_a_target_is_at_risk_after_its_share() -> None:
    assert URGENT.at_risk_ms("first_reply") == 720_000
    assert Policy("half", targets={"first_reply": 900_000}, at_risk_share=0.5).at_risk_ms("first_reply") == 450_000
    with pytest.raises(KeyError):
        URGENT.at_risk_ms("next_reply")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"when": {"prio": ("urgent",)}}, "`prio` is no attribute; expected one of channel, priority"),
        ({"targets": {"frist_reply": 1}}, "`frist_reply` is no target; expected one of first_reply, next_reply"),
        ({"targets": {"first_reply": 0}}, "expected more than 0 ms"),
        ({"at_risk_share": 1.0}, "at risk from a share of 1.0; expected one between 0 and 1"),
    ],
)
def test_a_policy_that_says_what_is_not_there_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Policy("wrong", **wrong)


def test_policies_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="several policies are called urgent; expected a name of its own for each"):
        Policies([URGENT, REST, URGENT])
