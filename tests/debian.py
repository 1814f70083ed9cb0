"""Programs from Debian's packages that tests need: found, or installed where the machine lets us."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

LOCK = Path(tempfile.gettempdir()) / "deskpulse-tests-apt.lock"
PATIENCE_SECONDS = 200


def require_binary(name: str, package: str) -> Path:
    """The path of ``name``, after installing ``package`` as root on Debian; the test is skipped where that can't be."""
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with LOCK.open("w") as lock:
            # Several test processes need the same package at once; apt itself would refuse the second.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if shutil.which(name) is None:
                _install(package)
        found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here; on Debian it is in the package {package}, and root can install that")
    return Path(found)


def _install(package: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Debian's packages start their servers when installed; no test wants them on their default ports.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            done = subprocess.run(
                ["apt-get", "-qq", *command], env=environment, timeout=PATIENCE_SECONDS, capture_output=True, text=True
            )
        if done.returncode:
            pytest.fail(f"apt-get could not install {package}: {done.stderr.strip()[-400:]}")
    finally:
        if ours:
            policy.unlink(missing_ok=True)
