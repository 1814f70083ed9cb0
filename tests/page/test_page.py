"""The page, in a real Chromium, over a worker's real web server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from deskpulse.settings import Settings
from sinks.evaluation import evaluate
from streams.live import ALL, Group
from tests import madeup
from tests.debian import require_binary
from tests.page.chromium import Tab, chromium, new_tab
from tests.page.worker import Worker, free_port, running

EVERYTHING = Group(ALL, "")
DRAWN = "document.querySelectorAll('#tiles .tile').length === 12"


Look = Callable[[Tab], Awaitable[None]]
Browse = Callable[[Look], None]


@pytest.fixture
def worker() -> Worker:
    return Worker(free_port())


@pytest.fixture(scope="module")
def browse() -> Iterator[Browse]:
    """Runs what looks at a page in a tab of its own; whatever the page complains about fails the test."""
    with chromium(require_binary("chromium", "chromium")) as port:

        async def run(look: Look) -> None:
            async with new_tab(port) as tab:
                await look(tab)
                assert tab.errors == []

        yield lambda look: asyncio.run(run(look))


def test_the_tiles_show_the_figures_that_the_worker_serves_beside_their_benchmarks(
    browse: Browse, worker: Worker
) -> None:
    figures = evaluate(worker.live.totals["1h"][EVERYTHING])
    bands = Settings().bands.by_figure()

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        assert f"{100 * figures['fcr_ratio']:.1f} %" in await tab.text("#tile-fcr")
        assert f"{100 * figures['csat_ratio']:.1f} %" in await tab.text("#tile-csat")
        assert f"+{figures['nps_score']:.0f}" in await tab.text("#tile-nps")
        assert f"{figures['first_reply_seconds_p50'] // 60:.0f} min" in await tab.text("#tile-first_reply")
        assert "Industry 10\N{EN DASH}15 min · best under 5 min" in await tab.text("#tile-first_reply")
        assert "Industry 75\N{EN DASH}80 % · best from 85 %" in await tab.text("#tile-resolution")
        assert figures["csat_ratio"] < bands["csat_ratio"].industry_low
        assert "behind the industry" in await tab.text("#tile-csat")
        interval = f"{100 * figures['csat_ratio_low']:.0f}\N{EN DASH}{100 * figures['csat_ratio_high']:.0f} %"
        assert f"interval {interval}" in await tab.text("#tile-csat")
        assert f"{figures['next_reply_seconds_p50'] // 60:.0f} min" in await tab.text("#tile-next_reply")
        assert f"{100 * figures['bot_containment_ratio']:.1f} %" in await tab.text("#tile-containment .value")
        assert f"durably {100 * figures['bot_durable_containment_ratio']:.1f} %" in await tab.text("#tile-containment")
        assert "475" in await tab.text("#tile-backlog")
        assert f"+{figures['net_flow']:.0f} in 1 h" in await tab.text("#tile-backlog")
        assert await tab.text("#tile-unanswered .value") == f"{worker.live.unanswered[EVERYTHING]}"
        assert await tab.text("#status") == "Live"

    with running(worker):
        browse(look)


def test_the_hour_the_backlog_and_the_dimensions_are_drawn_and_can_be_read_as_tables(
    browse: Browse, worker: Worker
) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        assert await tab.run("document.querySelectorAll('#flow rect.created').length") == 60
        await tab.run("document.querySelector('details').open = true")
        await tab.wait("document.querySelectorAll('#minutes-table tbody tr').length === 60")
        backlog = await tab.text("#backlog")
        assert all(name.replace("_", " ") in backlog for name in madeup.CHANNELS + madeup.PRIORITIES)
        await tab.run(
            "(() => { const s = document.querySelector('#dimension'); s.value = 'team';"
            " s.dispatchEvent(new Event('change')); })()"
        )
        assert "team 1" in await tab.text("#groups-table")

    with running(worker):
        browse(look)


def test_service_levels_show_what_runs_what_was_attained_and_where_it_is_late(browse: Browse, worker: Worker) -> None:
    day = evaluate(worker.live.totals["24h"][EVERYTHING])
    instances = worker.live.sla[EVERYTHING]
    by_state = {state: sum(n for (_, of), n in instances.items() if of == state) for state in ("at_risk", "breached")}

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/#7d")
        await tab.wait(DRAWN)
        assert await tab.text("#tile-sla .value") == str(by_state["breached"])
        assert f"{by_state['at_risk']} at risk" in await tab.text("#tile-sla")
        states = " ".join(str(instances["first_reply", state]) for state in ("in_time", "at_risk", "breached"))
        attained, breached = day["sla_first_reply_attainment_ratio"], day["sla_first_reply_breached"]
        table = await tab.text("#sla-table tbody")
        assert table.startswith(f"first reply {100 * attained:.1f} % {breached:,.0f} {states} next reply")
        assert "agent work" not in table
        told = await tab.text("#sla")
        assert all(name.replace("_", " ") in told for name in madeup.CHANNELS + madeup.PRIORITIES)

    with running(worker):
        browse(look)


def test_without_any_service_level_there_is_no_section_and_no_number(browse: Browse, worker: Worker) -> None:
    worker.live = madeup.empty()

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        assert await tab.text("#tile-sla .value") == "\N{EN DASH}"
        assert await tab.run("document.querySelector('#sla').hidden") is True

    with running(worker):
        browse(look)


def test_a_breach_arrives_by_itself(browse: Browse, worker: Worker) -> None:
    worker.live = replace(worker.live, sla={EVERYTHING: {("first_reply", "in_time"): 1}})

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait("document.querySelector('#tile-sla .value')?.innerText === '0'")
        worker.live = replace(worker.live, sla={EVERYTHING: {("first_reply", "breached"): 1}})
        await tab.wait("document.querySelector('#tile-sla.alarm .value')?.innerText === '1'")

    with running(worker):
        browse(look)


def test_a_ticket_can_be_asked_about(browse: Browse, worker: Worker) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        await tab.run(
            "(() => { document.querySelector('#ticket').value = ' T 1/2 ';"
            " document.querySelector('#explain button').click(); })()"
        )
        await tab.wait("location.pathname === '/tickets/T%201%2F2'")
        tab.errors.clear()

    with running(worker):
        browse(look)


def test_another_window_can_be_chosen(browse: Browse, worker: Worker) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        await tab.run("document.querySelector('input[value=\"30d\"]').click()")
        solved = f"{worker.live.totals['30d'][EVERYTHING][2]:,}"
        await tab.wait(f"document.querySelector('#tile-fcr').innerText.includes({solved!r})")

    with running(worker):
        browse(look)


def test_new_figures_arrive_by_themselves(browse: Browse, worker: Worker) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        worker.live = replace(worker.live, backlog={EVERYTHING: {"open": 9_071}})
        await tab.wait("document.querySelector('#tile-backlog').innerText.includes('9,071')")

    with running(worker):
        browse(look)


def test_an_outage_is_shown_and_its_end_too(browse: Browse, worker: Worker) -> None:
    async def look(tab: Tab) -> None:
        with running(worker):
            await tab.open(f"{worker.url}/")
            await tab.wait(DRAWN)
        await tab.wait("document.querySelector('#status').innerText.includes('Stale since')")
        assert "+" in await tab.text("#tile-nps"), "the last figures stay"
        with running(worker):
            await tab.wait("document.querySelector('#status').innerText.trim() === 'Live'")
        assert all("ERR_CONNECTION" in error for error in tab.errors)
        tab.errors.clear()

    browse(look)


def test_a_ratio_without_denominator_is_a_dash_and_no_zero(browse: Browse, worker: Worker) -> None:
    worker.live = madeup.empty()

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        for tile in ("first_reply", "fcr", "csat", "nps", "resolution", "oldest"):
            assert await tab.text(f"#tile-{tile} .value") == "\N{EN DASH}"
        assert await tab.text("#tile-backlog .value") == "0"

    with running(worker):
        browse(look)


def test_a_worker_that_restores_says_so(browse: Browse, worker: Worker) -> None:
    worker.not_ready = ("restoring partition 3: 120 of 4,000 records",)

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait("document.querySelector('#status').innerText.includes('restoring partition 3')")

    with running(worker):
        browse(look)


TOKEN = "a-token-of-the-tests.0123456789+/="


class NoTickets:
    config = Settings().domain()

    def look_up(self, ticket_id: str) -> None:
        return None


def typed(token: str) -> str:
    return (
        f"(() => {{ document.querySelector('#token').value = {token!r};"
        " document.querySelector('#sign-in button').click(); })()"
    )


def test_the_token_is_asked_for_once_and_stands_in_no_address(browse: Browse, worker: Worker) -> None:
    worker.token, worker.tickets = TOKEN, NoTickets()  # type: ignore[assignment]

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/#7d")
        await tab.wait("document.querySelector('#sign-in')?.innerText.includes('asks for its token')")
        await tab.run(typed("this-is-not-the-token"))
        await tab.wait("document.querySelector('#sign-in')?.innerText.includes('does not know')")
        await tab.run(typed(TOKEN))
        await tab.wait(DRAWN)
        # What a link leads to is asked for with the token, too, without another word.
        await tab.run(
            "(() => { document.querySelector('#ticket').value = 'T/1';"
            " document.querySelector('#explain button').click(); })()"
        )
        await tab.wait("document.querySelector('h1')?.innerText === 'No such ticket'")
        assert "no event of ticket T/1" in await tab.text("main")
        await tab.wait("getComputedStyle(document.body).margin === '0px 20px'")
        assert await tab.run("location.href") == f"{worker.url}/tickets/T%2F1"
        await tab.open(f"{worker.url}/metrics")
        await tab.wait("document.querySelector('pre')?.innerText.includes('support_tickets_created')")
        assert all("401" in error or "404" in error for error in tab.errors)
        tab.errors.clear()

    async def look_by_a_link(tab: Tab) -> None:
        await tab.open(f"{worker.url}/#token={TOKEN}")
        await tab.wait(DRAWN)
        assert await tab.run("location.href") == f"{worker.url}/"

    with running(worker):
        browse(look)
        browse(look_by_a_link)


def test_names_from_events_are_text_and_nothing_runs(browse: Browse, worker: Worker) -> None:
    bad = Group("channel", "<img src=x onerror=\"document.title='owned'\">")
    worker.live = replace(worker.live, backlog={EVERYTHING: {"open": 1}, bad: {"open": 1}})

    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/")
        await tab.wait(DRAWN)
        assert "<img src=x" in await tab.text("#backlog")
        assert await tab.run("document.title") == "deskpulse"

    with running(worker):
        browse(look)


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_scrolls_in_one_direction_only(browse: Browse, worker: Worker, dark: bool) -> None:
    async def look(tab: Tab) -> None:
        await tab.open(f"{worker.url}/", width=360, height=740, dark=dark)
        await tab.wait(DRAWN)
        assert await tab.run("document.documentElement.scrollWidth") == 360

    with running(worker):
        browse(look)
