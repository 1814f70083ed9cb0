"""Asking a worker over HTTP, with its token where it has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

_ANSWER_SECONDS: Final = 30.0
_NEEDS_TOKEN: Final = 401


class TokenRefusedError(Exception):
    """A worker asks for a token, and not for this one; says which worker and what to set."""


class _NoRedirects(HTTPRedirectHandler):
    """A worker sends nobody elsewhere, and the token is for nobody else."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER: Final = build_opener(_NoRedirects)


@dataclass(frozen=True)
class Asking:
    """Gets what workers serve."""

    token: str | None = field(default=None, repr=False)

    def get(self, url: str, path: str) -> bytes | None:
        """What the worker at ``url`` (`http` or `https`) has at ``path``, None where there is no answer.

        Raises :class:`TokenRefusedError`.
        """
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            with _OPENER.open(Request(f"{url}{path}", headers=headers), timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                body: bytes = answer.read()
                return body
        except HTTPError as error:
            if error.code == _NEEDS_TOKEN:
                raise TokenRefusedError(f"the worker at {url} asks for its token; set worker.web_token") from None
            return None
        except (URLError, OSError):
            return None

    def json(self, url: str, path: str) -> Any:
        """A JSON document of a worker, None where there is no answer."""
        body = self.get(url, path)
        try:
            return None if body is None else msgspec.json.decode(body)
        except msgspec.DecodeError:
            return None
