"""What a ClickHouse server does with one HTTP request, done by the engine inside this process (``chdb``)."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import gzip
import json
import re
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
from backports import zstd

AUTHENTICATION_FAILED = 516
NAMES = {
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    252: "TOO_MANY_PARTS",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
}
_STATUS = {
    # As `exceptionCodeToHTTPStatus` of ClickHouse; anything else is 500.
    400: (6, 26, 27, 36, 38, 41, 43, 62, 70, 72, 321),
    401: (194,),
    403: (192, 193, 497, AUTHENTICATION_FAILED),
    404: (46, 47, 50, 56, 60, 81, 115),
    408: (159,),
    413: (229,),
    501: (48,),
    503: (76, 209, 439),
}
_OF_THE_TRANSPORT = frozenset(
    (
        "query", "user", "password", "database", "query_id", "session_id", "session_timeout", "session_check",
        "default_format", "compress", "decompress", "wait_end_of_query", "buffer_size", "client_protocol_version",
        "role", "quota_key", "stacktrace",
    )
)  # fmt: skip
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_HAS_A_RESULT = re.compile(rb"\s*\(?\s*(SELECT|WITH|SHOW|DESC|EXISTS|EXPLAIN|CHECK)", re.IGNORECASE)
_BINARY_INSERT = re.compile(rb"(\s*INSERT\s+INTO\s[^\n]*?)\s+FORMAT\s+Native\s*?\n", re.IGNORECASE)
_IS_INSERT = re.compile(rb"\s*INSERT\b", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One HTTP request, read to its end; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """What goes back: status, headers, body."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """What a request asks for."""

    sql: bytes
    """With the data of an insert behind it."""
    params: dict[str, str]
    readonly: bool

    @property
    def is_insert(self) -> bool:
        return _IS_INSERT.match(self.sql) is not None


class RefusedError(RuntimeError):
    """An exception of ClickHouse."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    def answer(self, status: int | None = None) -> Answer:
        found = [status for status, codes in _STATUS.items() if self.code in codes]
        headers = {"X-ClickHouse-Exception-Code": str(self.code), "Content-Type": "text/plain; charset=UTF-8"}
        return Answer(status or (found or [500])[0], f"{self}\n".encode(), headers)


def refusal(code: int, text: str = "told to fail") -> RefusedError:
    """An exception as ClickHouse words it."""
    return RefusedError(code, f"Code: {code}. DB::Exception: {text}. ({NAMES.get(code, 'SOME_ERROR')}) (version 26.8)")


def statement_of(request: Request) -> Statement:
    """The statement of a request; raises :class:`RefusedError` for a body that can't be unpacked."""
    params, body = request.params, _unpacked(request.body, request.headers.get("content-encoding", ""))
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        params |= _form(request.headers["content-type"], body)
        body = b""
    query = params.get("query", "").encode()
    return Statement(query + (b"\n" if query and body else b"") + body, params, request.method == "GET")


def _unpacked(body: bytes, encoding: str) -> bytes:
    match encoding:
        case "" | "identity":
            return body
        case "lz4":
            return _all_frames(body)
        case "zstd":
            return zstd.decompress(body)
        case "gzip":
            return gzip.decompress(body)
    raise refusal(48, f"Unknown content encoding {encoding}")


def _all_frames(body: bytes) -> bytes:
    whole = b""
    while body:
        one = lz4.frame.LZ4FrameDecompressor()
        whole += one.decompress(body)
        body = one.unused_data or b""
    return whole


def _form(content_type: str, body: bytes) -> dict[str, str]:
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    parts = parser.parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()
        for part in parts.iter_parts()
    }


class Engine:
    """Runs statements like a server with one user. One of a process; ``run`` may be called from several threads."""

    def __init__(self, path: Path, username: str = "default", password: str = "", config: Path | None = None) -> None:
        self._path = str(path.resolve()) + ("" if config is None else f"?config-file={config.resolve()}")
        self._user = (username, password)
        # The engine lives as long as a connection to it.
        self._keeps_it = chdb.connect(self._path)
        self._timezone = self._keeps_it.query("SELECT timezone()", "TabSeparated").bytes().decode().strip()

    def close(self) -> None:
        self._keeps_it.close()

    def check_user(self, request: Request) -> None:
        """Raises :class:`RefusedError` unless the request shows the user's password."""
        headers, params = request.headers, request.params
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            user, _, password = base64.b64decode(shown).decode().partition(":")
        elif "x-clickhouse-user" in headers:
            user, password = headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
        else:
            user, password = params.get("user", "default"), params.get("password", "")
        if (user, password) != self._user:
            raise refusal(
                AUTHENTICATION_FAILED,
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name",
            )

    def run(self, statement: Statement, request: Request) -> Answer:
        """Run a statement; an error of the engine is an answer, too."""
        began = time.monotonic_ns()
        try:
            body, rows = self._run(statement)
        except RefusedError as refused:
            return refused.answer()
        summary = {"read_rows": str(rows), "elapsed_ns": str(time.monotonic_ns() - began)}
        if statement.is_insert:
            summary = {"written_rows": str(rows), "elapsed_ns": summary["elapsed_ns"]}
        headers = {
            "Content-Type": "application/octet-stream",
            "X-ClickHouse-Server-Display-Name": "stand-in",
            "X-ClickHouse-Query-Id": statement.params.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._timezone,
            "X-ClickHouse-Summary": json.dumps(summary),
        }
        if _HAS_A_RESULT.match(statement.sql):
            headers["X-ClickHouse-Format"] = self._format(statement)
        packed, encoding = _packed(body, statement.params, request.headers.get("accept-encoding", ""))
        return Answer(200, packed, headers | ({"Content-Encoding": encoding} if encoding else {}))

    @staticmethod
    def _format(statement: Statement) -> str:
        named = _FORMAT.search(statement.sql)
        return named[1].decode() if named else statement.params.get("default_format", "TabSeparated")

    def _run(self, statement: Statement) -> tuple[bytes, int]:
        params = statement.params
        connection = chdb.connect(self._path)
        try:
            if params.get("database"):
                connection.query(f"USE {_name(params['database'])}", "TabSeparated")
            for name, value in params.items():
                if name not in _OF_THE_TRANSPORT and not name.startswith("param_"):
                    connection.query(f"SET {_name(name)} = {_literal(value)}", "TabSeparated")
            if statement.readonly:
                connection.query("SET readonly = 2", "TabSeparated")
            bound = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
            with _data_in_a_file(statement.sql) as sql:
                result = connection.query(sql, self._format(statement), params=bound)
            rows = result.rows_written() if statement.is_insert else result.rows_read()
            return result.bytes() or b"", rows
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            raise RefusedError(int(code[1]) if code else 1002, str(error)) from None
        finally:
            connection.close()


@contextmanager
def _data_in_a_file(sql: bytes) -> Iterator[bytes]:
    """The engine takes an empty line among binary data for the end of the statement; in a file it does not."""
    insert = _BINARY_INSERT.match(sql)
    if insert is None:
        yield sql
        return
    with tempfile.NamedTemporaryFile(suffix=".native") as file:
        file.write(sql[insert.end() :])
        file.flush()
        yield insert[1] + f" FROM INFILE {_literal(file.name)} FORMAT Native".encode()


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _packed(body: bytes, params: dict[str, str], accepted: str) -> tuple[bytes, str]:
    if params.get("enable_http_compression") != "1" or not body:
        return body, ""
    for encoding in (name.strip() for name in accepted.split(",")):
        match encoding:
            case "lz4":
                return lz4.frame.compress(body), encoding
            case "zstd":
                return zstd.compress(body), encoding
            case "gzip":
                return gzip.compress(body), encoding
    return body, ""
