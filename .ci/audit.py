"""Asks for known vulnerabilities of every dependency in requirements.lock: `make audit`.

Ends with 1 when there is one, with the fixed versions. Where no data can be reached, nothing is audited: this is said,
and the end is 0, or 2 with `--required`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
SERVICES: Final = ("pypi", "osv")
"""Where to ask; the next where one does not answer."""
ACCEPTED: Final[dict[str, str]] = {}
"""Vulnerabilities that do not concern deskpulse, by id, each with the reason."""
PATIENCE_SECONDS: Final = 300


def asked(service: str) -> list[dict[str, Any]]:
    """What pip-audit found out of each dependency; nothing where it found out nothing."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--disable-pip", "--require-hashes"]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []
    # Where the service does not answer as it should, pip-audit skips the dependency, and ends well.
    return found if any("vulns" in one for one in found) else []


def judged(found: list[dict[str, Any]], *, required: bool = False) -> tuple[int, list[str]]:
    """The exit code, and what to tell."""
    audited = [one for one in found if "vulns" in one]
    skipped = [f"{one['name']}: not audited: {one['skip_reason']}" for one in found if "skip_reason" in one]
    if not audited:
        return (2 if required else 0), ["NOT AUDITED: no data about vulnerabilities can be reached from here"]
    lines = []
    for one in audited:
        for vulnerability in one["vulns"]:
            names = [vulnerability["id"], *vulnerability.get("aliases", ())]
            fixed = ", ".join(vulnerability["fix_versions"]) or "none yet"
            reason = next((ACCEPTED[name] for name in names if name in ACCEPTED), None)
            told = f"{one['name']} {one['version']}: {' '.join(names)}; fixed in: {fixed}"
            lines.append(f"{told}; accepted: {reason}" if reason else told)
    bad = [line for line in lines if "; accepted: " not in line]
    summary = f"{len(audited)} dependencies audited, {len(bad)} with known vulnerabilities that concern deskpulse"
    return (1 if bad else 2 if skipped and required else 0), [*skipped, *lines, summary]


def main(arguments: list[str]) -> int:
    """Ask one service after the other, and tell."""
    found: list[dict[str, Any]] = []
    for service in SERVICES:
        found = asked(service)
        if found:
            break
    code, lines = judged(found, required="--required" in arguments)
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
