"""What commands share that look at running workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deskpulse.cli.common import WRONG_USE, CommandError

if TYPE_CHECKING:
    from deskpulse.settings import Settings
    from deskpulse.verify.asking import Asking


def urls_of(settings: Settings, urls: list[str] | None) -> list[str]:
    """The workers that are to be asked: those of ``--url``, else that of the settings."""
    for url in urls or ():
        if not url.startswith(("http://", "https://")):
            raise CommandError(f"--url {url!r}; expected an address like http://127.0.0.1:6066", WRONG_USE)
    return [url.rstrip("/") for url in urls or [_own_url(settings)]]


def _own_url(settings: Settings) -> str:
    host = settings.worker.web_host
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{settings.worker.web_port}"  # noqa: S104


def asking(settings: Settings) -> Asking:
    """How they are asked."""
    from deskpulse.verify.asking import Asking

    token = settings.worker.web_token
    return Asking(None if token is None else token.get_secret_value())
