"""How far it is and how fast: a bar on a terminal, a line now and then elsewhere; always on standard error."""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from deskpulse.cli.common import tell

_LINE_EVERY_SECONDS: Final = 5.0
_BAR_EVERY_SECONDS: Final = 0.1


class Meters:
    """One :class:`Meter` after the other, for work of several parts."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def show(self, doing: str, unit: str, done: int, total: int) -> None:
        """How much of a part is done; a part begins when it is first shown, and ends the one before."""
        meter = self._meters.get(doing)
        if meter is None:
            self._end()
            meter = self._meters[doing] = Meter(doing, total, unit)
            meter.__enter__()
        meter.show(done, done)

    def _end(self) -> None:
        for meter in self._meters.values():
            meter.__exit__(None, None, None)


class Meter:
    """Shows a count of events (or what ``unit`` says), its rate, and how much of ``total`` is done where known."""

    def __init__(self, doing: str, total: int | None = None, unit: str = "events") -> None:
        self._doing = doing
        self._unit = unit
        self._total = total
        self._began = self._shown = monotonic()
        self._before = 0
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (BarColumn(), TimeRemainingColumn()) if total else (SpinnerColumn(),)
            told = TextColumn("{task.fields[told]}")
            self._bar = Progress(TextColumn(doing), *columns, told, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(doing, total=total, told="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return monotonic() - self._began

    def show(self, events: int, done: int = 0) -> None:
        """``events`` so far, and ``done`` of the total."""
        now = monotonic()
        if now - self._shown < (_BAR_EVERY_SECONDS if self._bar else _LINE_EVERY_SECONDS):
            return
        rate = (events - self._before) / (now - self._shown)
        told = f"{events:,} {self._unit}, {rate:,.0f}/s"
        self._shown, self._before = now, events
        if self._bar:
            self._bar.update(self._task, completed=done, told=told)
        else:
            share = f", {done / self._total:.0%}" if self._total else ""
            tell(f"{self._doing}: {told}{share}")
