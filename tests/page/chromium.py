"""A real headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
DEADLINE_SECONDS = 30


class NavigatedError(Exception):
    """The page went elsewhere while something was asked of it."""


class Tab:
    """One page in the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        """What the page complained about: exceptions and errors in its log."""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=DEADLINE_SECONDS)
            if message.get("id") == number:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise NavigatedError
                assert "error" not in message, message["error"]
                return dict(message["result"])
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(message["params"]["exceptionDetails"]["exception"]["description"])
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"])

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def open(self, url: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Go to ``url`` in a window of that size."""
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.look(width, height, dark)
        await self.send("Page.navigate", url=url)

    async def look(self, width: int, height: int, dark: bool = False) -> None:
        """Change the window and the colour scheme."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def wait(self, script: str) -> None:
        """Until the expression is true in the page, or in the one that it leads to."""
        until = time.monotonic() + DEADLINE_SECONDS - 5
        done = False
        while not done and time.monotonic() < until:
            # Asked in the page again and again, so that nothing is missed and nobody sleeps.
            with contextlib.suppress(NavigatedError):
                done = await self.run(
                    f"""new Promise((resolve) => {{
                        const until = Date.now() + {1000 * (until - time.monotonic())};
                        const look = () => {{ let met = false; try {{ met = {script}; }} catch {{}}
                            met ? resolve(true) : Date.now() > until ? resolve(false) : setTimeout(look, 20); }};
                        look();
                    }})"""
                )
        assert done, f"never true in the page: {script}\n{await self.run('document.body.innerText')}"

    async def text(self, selector: str) -> str:
        """What a person reads there, on one line."""
        found = await self.run(f"document.querySelector({selector!r}).innerText")
        return " ".join(str(found).split())

    async def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        size = (await self.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])


@contextmanager
def chromium(binary: Path) -> Iterator[int]:
    """A fresh browser, ended with the block; gives the port of its DevTools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _port(process, Path(profile, "DevToolsActivePort"))
        finally:
            process.terminate()
            process.wait(20)


@asynccontextmanager
async def new_tab(port: int) -> AsyncIterator[Tab]:
    """An empty tab of the browser with that port, closed with the block."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.put("/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            yield Tab(socket)
        await session.get(f"/json/close/{target['id']}")


def _port(process: subprocess.Popen[bytes], told: Path) -> int:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Chromium ended with {process.returncode}")
        if told.exists() and (lines := told.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.02)
    raise TimeoutError("Chromium did not say its port")
