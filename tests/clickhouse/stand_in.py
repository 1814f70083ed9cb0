"""A stand-in for a ClickHouse server: its HTTP interface over the engine inside this process, with faults on demand.

    python -m tests.clickhouse.stand_in --path DIR [--port N] [--control-port N] [--username U] [--password P]

It prints one line of JSON when it answers, ``{"port": …, "control_port": …}``, and ends with SIGTERM. On the control
port, ``POST /fault`` with a JSON object sets what is to go wrong from now on (:class:`Fault`), ``DELETE /fault`` ends
it, and ``GET /`` tells what was counted so far. ``tests.clickhouse.stand_in_process`` does all this from Python.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import ssl
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.clickhouse.engine_over_http import Answer, Engine, RefusedError, Request, Statement, refusal, statement_of

KINDS = ("refuse", "error", "cut", "stall", "lose")
_READ_BYTES = 1 << 20
_TOLD_BYTES = 2_000


@dataclass
class Fault:
    """What goes wrong.

    ``refuse``: the port is closed and every connection with it. ``error``: nothing is done, and the answer is
    ``status`` or the exception ``code``. ``stall``: nothing is done and no answer comes, ever. ``cut``: it is done, and
    the connection ends in the middle of the answer. ``lose``: it is done, and the answer is ``code``, or without one
    the connection ends before the answer, so that the client sends it again.
    """

    kind: str
    times: int | None = None
    """After so many requests it is over; None: until told."""
    only: str = ""
    """A regular expression: only statements in whose first 2,000 bytes it is found (``^INSERT``); all without one."""
    code: int | None = None
    """ClickHouse's number of an exception, like 252."""
    status: int | None = None
    """HTTP status; without ``code`` the answer has no exception of ClickHouse, as from a proxy."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; expected one of {', '.join(KINDS)}")

    def meets(self, statement: Statement) -> bool:
        told = statement.sql[:_TOLD_BYTES].decode(errors="replace")
        return self.times != 0 and re.search(self.only, told, re.IGNORECASE) is not None

    def answer(self) -> Answer:
        if self.code is None:
            return Answer(self.status or 500, b"told to fail\n", {"Content-Type": "text/plain"})
        return refusal(self.code).answer(self.status)


class StandIn:
    """The server. ``start``, then ``set``."""

    def __init__(self, engine: Engine, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.fault: Fault | None = None
        self.counted: Counter[str] = Counter()
        self.port = 0
        self._engine = engine
        self._threads = ThreadPoolExecutor(4)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_READ_BYTES, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def set(self, fault: Fault | None) -> None:
        """Go wrong from now on, or right again; who waits in a stall is cut off."""
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()
        if fault is not None and fault.kind == "refuse":
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in self._open:
                writer.transport.abort()
        elif self._server is None:
            await self.start(self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                self.counted["requests"] += 1
                if not await self._answer(request, writer):
                    writer.transport.abort()
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # Also when the process ends: nobody waits for this task.
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; False: the connection is to end."""
        if request.path == "/ping" or not (request.params.get("query") or request.body):
            return await self._ping(writer)
        try:
            self._engine.check_user(request)
            statement = statement_of(request)
        except RefusedError as refused:
            return await send(writer, refused.answer())
        self.counted["inserts"] += statement.is_insert
        fault = self.fault if self.fault and self.fault.meets(statement) else None
        if fault is not None:
            self.counted[fault.kind] += 1
            if fault.times is not None:
                fault.times -= 1
        match fault:
            case None:
                return await send(writer, await self._run(statement, request))
            case Fault(kind="error"):
                return await send(writer, fault.answer())
            case Fault(kind="stall"):
                await self._changed.wait()
                return False
        answer = await self._run(statement, request)
        if fault.kind == "lose" and (fault.code or fault.status):
            return await send(writer, fault.answer())
        if fault.kind == "cut":
            whole = encoded(answer)
            writer.write(whole[: max(1, len(whole) // 2)])
            await writer.drain()
            writer.close()
        return False

    async def _ping(self, writer: asyncio.StreamWriter) -> bool:
        match self.fault:
            case Fault(kind="stall", only=""):
                await self._changed.wait()
                return False
            case Fault(kind="error", only=""):
                return await send(writer, self.fault.answer())
        return await send(writer, Answer(200, b"Ok.\n"))

    async def _run(self, statement: Statement, request: Request) -> Answer:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._engine.run, statement, request)
        done = "inserted" if statement.is_insert else "answered"
        self.counted[done if answer.status == 200 else "failed"] += 1
        return answer

    # -- the other port

    async def serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what is to go wrong, and tell what was counted."""
        try:
            while (request := await read_request(reader)) is not None:
                await send(writer, await self._told(request))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _told(self, request: Request) -> Answer:
        match request.method, request.path:
            case "POST", "/fault":
                try:
                    await self.set(Fault(**json.loads(request.body)))
                except (TypeError, ValueError, re.error) as error:
                    return Answer(400, f"{error}\n".encode())
            case "DELETE", "/fault":
                await self.set(None)
            case "GET", "/":
                pass
            case _:
                return Answer(404, b"expected POST or DELETE /fault, or GET /\n")
        return Answer(200, json.dumps({"port": self.port, **self.counted}).encode())


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection with its whole body; None at its end."""
    head = b""
    with contextlib.suppress(asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)


def encoded(answer: Answer) -> bytes:
    """An answer as it goes over the connection: in chunks, as ClickHouse's, which don't say how long they are."""
    lines = [f"HTTP/1.1 {answer.status} Told", "Transfer-Encoding: chunked", "Connection: Keep-Alive"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    chunk = b"%x\r\n%b\r\n" % (len(answer.body), answer.body) if answer.body else b""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + chunk + b"0\r\n\r\n"


async def send(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send an answer; True, since the connection stays."""
    writer.write(encoded(answer))
    await writer.drain()
    return True


def tls_of(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    """What HTTPS needs, None without a certificate."""
    if arguments.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=arguments.client_authority)
    context.load_cert_chain(arguments.certificate, arguments.key)
    if arguments.client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _main(arguments: argparse.Namespace) -> None:
    engine = Engine(arguments.path, arguments.username, arguments.password, arguments.config)
    stand_in = StandIn(engine, tls_of(arguments))
    await stand_in.start(arguments.port)
    control = await asyncio.start_server(stand_in.serve_control, "127.0.0.1", arguments.control_port)
    control_port = control.sockets[0].getsockname()[1]
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    if arguments.until_stdin_ends:
        asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    print(json.dumps({"port": stand_in.port, "control_port": control_port}), flush=True)
    await ended.wait()
    await stand_in.set(Fault("refuse"))
    engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, required=True, help="folder of the data; one process at a time")
    parser.add_argument("--port", type=int, default=0, help="of the HTTP interface; 0: a free one")
    parser.add_argument("--control-port", type=int, default=0, help="of the control; 0: a free one")
    parser.add_argument("--username", default="default")
    parser.add_argument("--password", default="")
    parser.add_argument("--config", type=Path, help="configuration of the engine, like the one of a server")
    parser.add_argument("--certificate", type=Path, help="PEM file; the port then speaks HTTPS")
    parser.add_argument("--key", type=Path, help="PEM file of the certificate's key")
    parser.add_argument("--client-authority", type=Path, help="PEM file; clients have to show a certificate of it")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end with the process that started it, too")
    asyncio.run(_main(parser.parse_args()))
    sys.exit(0)
