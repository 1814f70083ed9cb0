"""Whether a process is gone."""

import os
from pathlib import Path


def ended(pid: int) -> bool:
    """True when no process has this id, or only its remains are left for a parent to collect."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return not Path("/proc/self").exists()
