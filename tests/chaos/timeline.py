"""What happened when, in words: printed when a run fails, and kept with its logs."""

from __future__ import annotations

import threading
import time


class Timeline:
    """Lines with their times; from any thread."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[str] = []
        self._writing = threading.Lock()

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def tell(self, what: str) -> None:
        """Something happened now."""
        with self._writing:
            self._lines.append(f"{self.seconds():8.2f} s  {what}")

    def __str__(self) -> str:
        with self._writing:
            return "\n".join(self._lines)
