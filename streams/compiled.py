"""The domain as machine code: the same modules, compiled by mypyc, where a build of exactly these sources is there.

A build lies in a folder beside the sources that is named after them and after the Python that it is for, and is put in
front of them when the package is imported. Once a source changes, the folder has another name: what runs is never
older than what is written, and without a build the sources themselves run. ``make`` builds where there is a C compiler
(``python -m deskpulse.compile``).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Final

MODULES: Final = (
    "attributes",
    "backlog",
    "calendars",
    "changelog",
    "contributions",
    "customers",
    "facts",
    "facts_record",
    "history",
    "json_bytes",
    "json_object",
    "letters",
    "partition",
    "partitioner",
    "patches",
    "policies",
    "published",
    "raised",
    "scanning",
    "shelf",
    "sla",
    "story",
    "summaries",
    "tally",
    "telling",
    "ticket",
    "timers",
    "waiting",
    "watermark",
)
"""What is compiled: the hot path, from an event to the records that are published."""
SWITCH: Final = "DESKPULSE_COMPILED"
"""Set to 0, the sources run even where there is a build."""
SOURCES: Final = Path(__file__).parent
BUILDS: Final = SOURCES / ".compiled"
GROUP: Final = "deskpulse_domain"
_LIBRARY: Final = f"{GROUP}__mypyc"
"""What all compiled modules share."""
SUFFIX: Final = str(sysconfig.get_config_var("EXT_SUFFIX"))


@cache
def digest() -> str:
    """16 hexadecimal digits that are others when the sources, or the Python that they are compiled for, are."""
    found = sha256(SUFFIX.encode())
    # Not only the compiled modules: constants of others are built in.
    for source in sorted([*SOURCES.rglob("*.py"), *(SOURCES.parent / "schemas").rglob("*.py")]):
        found.update(source.read_bytes())
    return found.hexdigest()[:16]


def folder() -> Path:
    """Where a build of the sources as they are now lies, or would lie."""
    return BUILDS / digest()


def runs() -> bool:
    """Whether the build was loaded."""
    return _LIBRARY in sys.modules


def prefer(path: list[str]) -> None:
    """Put the build in front of a package's ``path``, where there is one and it can be loaded."""
    if os.environ.get(SWITCH) == "0" or not BUILDS.is_dir():
        return
    found = folder()
    spec = spec_from_file_location(_LIBRARY, found / f"{_LIBRARY}{SUFFIX}")
    if spec is None or spec.loader is None or not found.is_dir():
        return
    library = module_from_spec(spec)
    spec.loader.exec_module(library)
    sys.modules[_LIBRARY] = library
    path.insert(0, str(found))
