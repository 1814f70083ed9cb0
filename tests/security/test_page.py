"""The page of a worker that asks for its token, in a real Chromium."""

from __future__ import annotations

import asyncio

from deskpulse.settings import Settings
from tests.debian import require_binary
from tests.page.chromium import Tab, chromium, new_tab
from tests.page.worker import Worker, free_port, running
from tests.security.test_web import TOKEN, NoTickets

DRAWN = "document.querySelectorAll('#tiles .tile').length === 12"


def typed(token: str) -> str:
    return (
        f"(() => {{ document.querySelector('#token').value = {token!r};"
        " document.querySelector('#sign-in button').click(); })()"
    )


def test_the_token_is_asked_for_once_and_stands_in_no_address() -> None:
    worker = Worker(free_port(), token=TOKEN, tickets=NoTickets())  # type: ignore[arg-type]

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

    async def link(tab: Tab) -> None:
        await tab.open(f"{worker.url}/#token={TOKEN}")
        await tab.wait(DRAWN)
        assert await tab.run("location.href") == f"{worker.url}/"
        assert tab.errors == []

    async def both(port: int) -> None:
        async with new_tab(port) as tab:
            await look(tab)
        async with new_tab(port) as tab:
            await link(tab)

    assert Settings().worker.web_token is None
    with running(worker), chromium(require_binary("chromium", "chromium")) as port:
        asyncio.run(both(port))
