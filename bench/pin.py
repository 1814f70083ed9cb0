"""``pin.py CORES COMMAND...``: become the command, on these cores (numbers with commas between)."""

import os
import sys

if __name__ == "__main__":
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - this is what it is for
