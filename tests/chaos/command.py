"""What the commands of this folder share: their options, their folder, their answer, their exit code."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.running import BenchError


def options(module: str, doc: str | None, example: str) -> argparse.ArgumentParser:
    """The options that all have; each adds its own. ``example``: how else it may be called."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Example: python -m {module} {example}",
    )
    parser.add_argument("--folder", type=Path, help="where logs and data are kept (default: a new one)")
    parser.add_argument("--out", type=Path, help="file for the summary as JSON")
    return parser


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=1, help="everything random follows from it (default 1)")


def add_on_disk(parser: argparse.ArgumentParser) -> None:
    """Add ``--on-disk``."""
    parser.add_argument("--on-disk", action="store_true", help="workers keep their state in folders (RocksDB)")


def execute(
    name: str,
    asked: argparse.Namespace,
    measure: Callable[[Path], Mapping[str, Any]],
    told: Callable[[Mapping[str, Any]], str] | None = None,
) -> int:
    """Let ``measure`` work in the folder, and print what it found, as ``told`` or as JSON.

    The exit code: 0 where it says ``ok``, else 1; 2 when it did not come to its end.
    """
    folder = asked.folder or Path(tempfile.mkdtemp(prefix=f"deskpulse-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    # What the clients of this process have to say of a broker that is away.
    logging.basicConfig(filename=folder / f"{name}.log")
    try:
        found = measure(folder)
    except BenchError as error:
        print(f"{error}\nlogs: {folder}", file=sys.stderr)
        return 2
    document = json.dumps(found, indent=1)
    if asked.out:
        asked.out.write_text(f"{document}\n")
    print(document if told is None else told(found))
    return 0 if found["ok"] else 1
