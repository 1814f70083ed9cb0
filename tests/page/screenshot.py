"""Pictures of the page: ``python -m tests.page.screenshot OUT.png [URL] [--phone] [--dark]``.

Of a running worker, or of made-up figures where no URL is given.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import nullcontext
from pathlib import Path

from tests import madeup
from tests.debian import require_binary
from tests.page.chromium import chromium, new_tab
from tests.page.worker import Worker, free_port, running


async def picture(port: int, url: str, width: int, dark: bool) -> bytes:
    """The page at ``url`` as a PNG, once it shows figures and a rate of events."""
    async with new_tab(port) as tab:
        await tab.open(url, width=width, dark=dark)
        await tab.wait("document.querySelectorAll('#tiles .tile').length > 0")
        await tab.wait("/[0-9]/.test(document.querySelector('#health dd').textContent)")
        return await tab.screenshot()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--phone", action="store_true")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--empty", action="store_true")
    given = parser.parse_args()
    now_ms = time.time_ns() // 1_000_000
    live = madeup.empty(now_ms) if given.empty else madeup.live(now_ms=now_ms)
    made = nullcontext() if given.url else running(Worker(free_port(), live=live))
    with made as worker:
        url = given.url or f"{worker.url}/" if worker else given.url
        with chromium(require_binary("chromium", "chromium")) as port:
            given.out.write_bytes(asyncio.run(picture(port, url, 390 if given.phone else 1240, given.dark)))


if __name__ == "__main__":
    main()
