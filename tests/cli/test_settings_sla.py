from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from deskpulse.settings import Settings, load
from deskpulse.settings_file import SettingsError
from deskpulse.settings_sla import days_of, interval_of, week_of
from streams.calendars import ALWAYS, AlwaysOpen, Calendar, Holidays
from streams.policies import Policies, Policy
from tests.cli.conftest import Deskpulse

TOLD = """\
[calendars.berlin]
zone = "Europe/Berlin"
hours = { mon-fri = ["09:00-17:00"], sat = [] }
holidays = { country = "DE", subdivision = "BE", dates = ["2026-12-24"] }

[[policies]]
name = "urgent"
when = { priority = ["urgent"], channel = ["chat", "phone"] }
calendar = "always"
targets = { first_reply = "15m", next_reply = "30m", resolution = "4h" }
"""
BERLIN = Calendar(
    "Europe/Berlin",
    week_of({"mon-fri": ["09:00-17:00"]}),
    Holidays("DE", "BE", frozenset({date(2026, 12, 24)})),
    name="berlin",
)
URGENT = Policy(
    "urgent",
    when={"priority": ("urgent",), "channel": ("chat", "phone")},
    targets={"first_reply": 900_000, "next_reply": 1_800_000, "resolution": 14_400_000},
)


def policies(text: str) -> Policies:
    path = Path("deskpulse.toml")
    path.write_text(text)
    return load(path).sla_policies()


def refused(text: str) -> str:
    with pytest.raises(SettingsError) as error:
        policies(text)
    return str(error.value)


def test_the_form_of_the_file_is_what_the_domain_is_told() -> None:
    assert policies(TOLD) == Policies([URGENT])
    assert load().calendars.domain() == {"always": ALWAYS, "berlin": BERLIN}


def test_without_policies_there_are_none() -> None:
    assert policies("") == Policies()
    assert policies("policies = []") == Policies()


def test_a_policy_can_be_all_but_its_name() -> None:
    assert policies('[[policies]]\nname = "any"') == Policies([Policy("any")])
    assert policies('[[policies]]\nname = "any"\nwhen = {}\ntargets = {}\ncalendar = "always"') == Policies(
        [Policy("any")]
    )


def test_the_order_of_the_file_is_the_order_of_the_policies() -> None:
    names = ["z", "a", "m", "1"]
    assert [policy.name for policy in policies("".join(f'[[policies]]\nname = "{name}"\n' for name in names))] == names


def test_a_policy_is_at_risk_at_its_own_share_or_that_of_all() -> None:
    told = policies('[sla]\nat_risk = 0.5\n[[policies]]\nname = "a"\n[[policies]]\nname = "b"\nat_risk = 0.9')
    assert [policy.at_risk_share for policy in told] == [0.5, 0.9]
    assert policies(TOLD).policies[0].at_risk_share == 0.8


def test_a_calendar_can_be_always_open_with_or_without_a_zone() -> None:
    policies('[calendars.a]\nhours = "always"\n[calendars.b]\nzone = "America/New_York"\nhours = "always"')
    assert load().calendars.domain()["a"] == AlwaysOpen(name="a")
    assert load().calendars.domain()["b"] == AlwaysOpen("America/New_York", name="b")
    policies('[calendars.always]\nzone = "UTC"\nhours = "always"')
    assert load().calendars.domain() == {"always": ALWAYS}


def test_one_value_needs_no_list_and_dates_need_no_quotes() -> None:
    told = policies('[[policies]]\nname = "a"\nwhen = { priority = "urgent" }')
    assert told.policies[0].when == {"priority": ("urgent",)}
    policies(TOLD.replace('"2026-12-24"', "2026-12-24"))
    assert load().calendars.domain()["berlin"] == BERLIN


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("mon-fri", "mo-fr", ":3: `calendars.berlin.hours` = {"),
        ("mon-fri", "mo-fr", "`mo-fr` is no day; expected one of mon, tue, wed, thu, fri, sat, sun, or a range like"),
        ("mon-fri", "mon-sat", "sat stands in `mon-sat` and in `sat`; expected each day once"),
        ("09:00-17:00", "9-17", '"9-17" is no interval; expected one like "09:00-17:00"'),
        ("09:00-17:00", "09:00-25:00", '"09:00-25:00" is outside the day; expected times from 00:00 to 24:00'),
        ("09:00-17:00", "17:00-09:00", '"17:00-09:00" ends before it has begun; expected a later end, or past'),
        ("09:00-17:00", '09:00-12:00", "11:00-17:00', '"09:00-12:00" and "11:00-17:00" of `mon-fri` overlap'),
        ('["09:00-17:00"]', '"09:00-17:00"', '`mon-fri` has no list of intervals; expected one like ["09:00-17:00"]'),
        ('["09:00-17:00"]', "[]", ":1: `calendars.berlin` = {"),
        ('["09:00-17:00"]', "[]", "never opens; expected hours with an interval"),
        ('{ mon-fri = ["09:00-17:00"], sat = [] }', '"allways"', '"allways": expected "always", or days with their'),
        ('{ mon-fri = ["09:00-17:00"], sat = [] }', '"always"', "is always open and has holidays; expected one of"),
        ('hours = { mon-fri = ["09:00-17:00"], sat = [] }', "", "`calendars.berlin.hours` is missing"),
        ('zone = "Europe/Berlin"', "", "has hours of no `zone`; expected one beside them"),
        ("Europe/Berlin", "Europe/Berln", ':2: `calendars.berlin.zone` = "Europe/Berln": `Europe/Berln` is no IANA'),
        ("zone", "timezone", ':2: `calendars.berlin.timezone` = "Europe/Berlin": there is no such key; expected'),
        ('"DE"', '"DX"', "`DX` is no country with known holidays"),
        ('"BE"', '"TX"', "`TX` is no subdivision of DE with known holidays; expected one of BB, BE"),
        ('country = "DE", ', "", "`subdivision` is BE of no country; expected `country` beside it"),
        ('"2026-12-24"', '"24.12.2026"', ':4: `calendars.berlin.holidays.dates` = "24.12.2026": expected a date like'),
        ('"2026-12-24"', "20261224", "expected a date like"),
        ("calendars.berlin", "calendars.always", "expected another name, or hours = \"always\""),
        ("calendars.berlin", 'calendars."a b"', "is no name of a calendar; expected up to 100 letters, digits"),
        ('calendar = "always"', 'calendar = "munich"', "there is no such calendar; expected one of always, berlin"),
        ("first_reply", "frist_reply", '`policies.urgent.targets.frist_reply` = "15m": there is no such target; '),
        ('"15m"', '"15"', '`policies.urgent.targets.first_reply` = "15": expected a duration with its unit'),
        ('"15m"', '"0s"', "expected a duration above 0"),
        ("priority", "prio", '`policies.urgent.when.prio` = ["urgent"]: there is no such attribute; expected'),
        ('["urgent"]', '["urgnt"]', '`policies.urgent.when.priority` = "urgnt": expected some of low, normal, high'),
        ('["urgent"]', "[]", "`policies.urgent.when.priority` = []: should have at least 1 item"),
        ('["chat", "phone"]', '["chat", "chat"]', "chat stands there twice; expected each once"),
        ('name = "urgent"', "", "`policies.1.name` is missing"),
        ('name = "urgent"', 'name = "urgent"\nat_risk = 1', "`policies.urgent.at_risk` = 1: should be less than 1"),
        ('name = "urgent"', 'name = "urgent"\npriority = "x"', "expected some of name, when, calendar, targets"),
        ("[[policies]]", '[[policies]]\nname = "urgent"\n[[policies]]', "several policies have this name"),
        ("[[policies]]", "[sla]\nat_risk = 0\n[[policies]]", ":7: `sla.at_risk` = 0: should be greater than 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_what_is_right(right: str, wrong: str, told: str) -> None:
    assert right in TOLD
    assert told in refused(TOLD.replace(right, wrong))


TWO = """\
[[policies]]
name = "urgent"
[policies.targets]
first_reply = "15m"

[[policies]]
calendar = "always"
name = "rest"
targets.first_reply = "1h"
[policies.when]
priority = "low"
"""


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ('"15m"', "15", 4),
        ('"1h"', "1", 9),
        ('"always"', '"munich"', 7),
        ('"low"', '"lo"', 11),
        ('"rest"', '"urgent"', 8),
        ('name = "rest"', "", 6),
        ('calendar = "always"', "calender = 1", 7),
    ],
)
def test_a_wrong_policy_is_refused_with_its_own_line(right: str, wrong: str, line: int) -> None:
    assert refused(TWO.replace(right, wrong)).startswith(f"deskpulse.toml:{line}: `policies.")


def test_what_config_shows_of_policies_can_be_read_again(deskpulse: Deskpulse) -> None:
    expected = policies(TOLD + '[[policies]]\nname = "all of \\"them\\""\nat_risk = 0.5\ncalendar = "berlin"')
    shown = deskpulse("config").out
    assert shown.count("[[policies]]") == 2
    assert policies(shown.replace('password = "**********"', "")) == expected
    assert load().calendars.domain()["berlin"] == BERLIN


def test_the_environment_can_say_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_CALENDARS__BERLIN__ZONE", "Europe/Berlin")
    monkeypatch.setenv("DESKPULSE_CALENDARS__BERLIN__HOURS", '{"mon-fri": ["09:00-17:00"]}')
    monkeypatch.setenv("DESKPULSE_CALENDARS__BERLIN__HOLIDAYS__COUNTRY", "DE")
    monkeypatch.setenv("DESKPULSE_CALENDARS__BERLIN__HOLIDAYS__SUBDIVISION", "BE")
    monkeypatch.setenv("DESKPULSE_CALENDARS__BERLIN__HOLIDAYS__DATES", "2026-12-24")
    told = [{"name": "a", "when": {"team": "x,y"}, "calendar": "berlin", "targets": {"agent_work": "4h"}}]
    monkeypatch.setenv("DESKPULSE_POLICIES", json.dumps(told))
    expected = Policy("a", calendar=BERLIN, when={"team": ("x", "y")}, targets={"agent_work": 14_400_000})
    assert policies("") == Policies([expected])


def test_a_changed_copy_is_checked() -> None:
    policies(TOLD)
    changed = load().changed(sla={"at_risk": 0.5}, policies={"rest": {"calendar": "berlin"}})
    assert [policy.at_risk_share for policy in changed.sla_policies()] == [0.5, 0.5]
    assert changed.sla_policies().policies[1].calendar == BERLIN
    with pytest.raises(ValueError, match="there is no such calendar"):
        Settings().changed(policies={"rest": {"calendar": "berlin"}})


def test_as_json_the_policies_are_a_list_that_can_be_read_again() -> None:
    expected = policies(TOLD)
    dumped = json.loads(load().model_dump_json())
    assert [policy["name"] for policy in dumped["policies"]] == ["urgent"]
    some = {name: dumped[name] for name in ("sla", "calendars", "policies")}
    assert Settings.model_validate(some).sla_policies() == expected


def test_intervals_and_days_are_read() -> None:
    assert interval_of("00:00-24:00") == (0, 86_400_000)
    assert days_of("wed") == (2,)
    assert days_of("mon-fri") == (0, 1, 2, 3, 4)
    assert days_of("sun-thu") == (6, 0, 1, 2, 3)
    morning, whole, late = (0, 32_400_000), (32_400_000, 61_200_000), (82_800_000, 86_400_000)
    assert week_of({"mon": ["23:00-24:00", "12:00-17:00", "09:00-12:00"], "tue": ["00:00-09:00"]}) == (
        (whole, late),
        (morning,),
        *[()] * 5,
    )
