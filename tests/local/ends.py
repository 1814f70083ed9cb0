"""Whether a process is gone."""

import os
from pathlib import Path

from tests.process_state import state_of


def ended(pid: int) -> bool:
    """True when no process has this id, or only its remains are left for a parent to collect."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return state_of(Path(f"/proc/{pid}")) == "Z"
    except OSError:
        return not Path("/proc/self").exists()
