"""The lives of a worker: on a failure that a restored state can get over, the process replaces itself.

Nothing of a failed life is kept: the process becomes the same command anew (``exec``, under the same process id), so
state, threads, connections and files are gone as after a crash, which is what the commit protocol is made for. Between
two lives lies a wait that grows and is jittered, until one has been healthy for a while. All that passes from one to
the next is how often they failed.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import faust
import msgspec

from deskpulse.worker_name import NameTakenError
from streams.clients import Deadline
from streams.deadlines import END_SECONDS
from streams.failures import CommitFencedError, can_be_mended
from streams.transport import App

_LOG: Final = logging.getLogger(__name__)
_VARIABLE: Final = "_DESKPULSE_LIVES"
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0
_HEALTHY_SECONDS: Final = 60.0
"""A life that was ready for so long failed for a reason of its own."""
_MOST_FENCED: Final = 3
"""So many lives in a row may be fenced: where the group can't be looked at, that is how a taken name shows."""
_LEAVE_SECONDS: Final = 3.0
"""For leaving the groups before the next life; else the session's end has to be waited for."""
_STUCK_CODE: Final = 70
_TEXT_CHARACTERS: Final = 1_000
_ENDING_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


class Record(msgspec.Struct, frozen=True):
    """What a life knows of those before it."""

    number: int = 1
    failed: int = 0
    """How many lives have failed in a row."""
    fenced: int = 0
    """How many of them were fenced, without one in between that was not, and could not see who has their name."""

    def after(self, error: BaseException, healthy_seconds: float, *, had_its_name_alone: bool = False) -> Record:
        """The record of the next life. Raises :class:`NameTakenError` when there should be none."""
        before = Record(self.number) if healthy_seconds >= _HEALTHY_SECONDS else self
        # Else the coordinator has fenced it, whose transactions time out while brokers are away.
        may_be_another = isinstance(error, CommitFencedError) and not had_its_name_alone
        fenced = before.fenced + 1 if may_be_another else 0
        if fenced >= _MOST_FENCED:
            raise NameTakenError(
                f"fenced {fenced} times in a row, so another worker seems to have the same worker.id; at last: {error}"
            )
        return Record(self.number + 1, before.failed + 1, fenced)

    def wait_seconds(self, chance: float) -> float:
        """How long to wait before this life; ``chance`` is between 0 and 1."""
        if not self.failed:
            return 0.0
        longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(self.failed - 1, 10))
        return longest * (1 + chance) / 2


class Lives:
    """This life of the worker, and how it gives way to the next."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._ready_at: float | None = None
        self._has_its_name_alone = False
        self._replacing: threading.Thread | None = None
        """Runs once this life has failed."""
        self._apps: Sequence[App] = ()
        self._deciding = threading.Lock()
        self._told_to_end = False

    @classmethod
    def continued(cls) -> Self:
        """The life that this process is in."""
        told = os.environ.pop(_VARIABLE, None)
        return cls(msgspec.json.decode(told, type=Record) if told else Record())

    def begin(self) -> None:
        """Wait as long as the failures before this life demand. A signal that came since the last one counts now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING_SIGNALS)
        if self.record.failed:
            number, failed = self.record.number, self.record.failed
            wait_seconds = self.record.wait_seconds(random.random())  # noqa: S311 (no secret)
            _LOG.warning("life %d begins in %.1f s; failed in a row: %d", number, wait_seconds, failed)
            time.sleep(wait_seconds)

    def has(self, apps: Sequence[App]) -> None:
        """This life consists of ``apps``: any of them that fails is mended as far as possible, with all others."""
        self._apps = apps
        for app in apps:
            app.mend = self.mend

    def has_its_name_alone(self) -> None:
        """When this life began, no other worker of its groups had its name."""
        self._has_its_name_alone = True

    def is_ready(self) -> None:
        """From now on this life counts as healthy."""
        self._ready_at = time.monotonic()

    def ends(self) -> None:
        """The worker was told to end: there is no next life, and an end that takes too long is forced."""
        if not self._told_to_end:
            self._told_to_end = True
            threading.Thread(target=self._force, name="end", daemon=True).start()

    def mend(self, error: BaseException) -> bool:
        """Whether the process is going to be replaced because of ``error``; returns at once. From any thread.

        One that was told to end then ends, without its last commit.
        """
        with self._deciding:
            if not can_be_mended(error):
                return False
            if self._replacing is None:
                self._replacing = threading.Thread(target=self._replace, args=(error,), name="next life", daemon=True)
                self._replacing.start()
            return True

    def wait_replaced(self) -> bool:
        """To be called when the loop has ended; whether this life has failed, and what follows it can't begin.

        Where it can, this does not return: that is not to be cut short.
        """
        if self._replacing is None:
            return False
        self._replacing.join()
        return True

    def mend_start(self, error: BaseException) -> None:
        """Begin again after an error of the start; returns where this has no use, as in a first life."""
        if self.record.failed and can_be_mended(error):
            self._replace(error)

    def _replace(self, error: BaseException) -> None:
        healthy_seconds = 0.0 if self._ready_at is None else time.monotonic() - self._ready_at
        _LOG.error("life %d ends, and its state is dropped: %s", self.record.number, _one_line(error))
        for app in self._apps:
            app.leave(error)
        deadline = Deadline(_LEAVE_SECONDS)
        if not all(app.wait_left(deadline.remaining_seconds) for app in self._apps):
            _LOG.warning("a group could not be left; the broker will notice by the session's end")
        if self._told_to_end:
            _LOG.error("ended as told, but without the last commit: what it would have held is read again")
            _exit(1)
        try:
            alone = self._has_its_name_alone
            following = self.record.after(error, healthy_seconds, had_its_name_alone=alone)
        except NameTakenError as taken:
            _LOG.critical("%s", taken)
            _exit(taken.exit_code)
        _become(following)

    def _force(self) -> None:
        time.sleep(END_SECONDS)
        _LOG.critical("the worker did not end within %g s of being told to", END_SECONDS)
        _exit(_STUCK_CODE)


class Worker(faust.Worker):
    """A life's Faust: ends within its time, and without the second that Faust sleeps at its end."""

    def __init__(self, lives: Lives, *services: Any, **options: Any) -> None:
        self.lives = lives
        super().__init__(*services, **options)

    def execute_from_commandline(self) -> NoReturn:
        """Run until told to end, or until this life has failed; raises SystemExit, with 1 where it has failed."""
        try:
            super().execute_from_commandline()
        except SystemExit:
            if self.lives.wait_replaced():
                raise SystemExit(1) from None
            raise

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        self.lives.ends()
        super()._schedule_shutdown(signal)

    async def _sentinel_task(self) -> None:
        return


def _become(record: Record) -> NoReturn:
    """Become the same command anew. Files are closed by it, and a signal to end waits for the next life."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    for descriptor in (int(entry.name) for entry in list(Path("/dev/fd").iterdir())):
        if descriptor > 2:
            with suppress(OSError):
                os.set_inheritable(descriptor, False)
    environment = {**os.environ, _VARIABLE: msgspec.json.encode(record).decode()}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 (no shell is wanted)


def _exit(code: int) -> NoReturn:
    logging.shutdown()
    os._exit(code)


def _one_line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "…"
