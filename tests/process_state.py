"""What the kernel says of a process or a thread."""

from pathlib import Path


def state_of(folder: Path) -> str:
    """Its state, as `/proc` has it: T when it is stopped, Z when it has ended. OSError where there is none."""
    return (folder / "stat").read_text().rpartition(")")[2].split()[0]
