"""``python -m deskpulse.compile``: compile the domain, where a C compiler and Python's headers are there.

Says in a line what it did, and ends with 0 either way: without a build everything works, only slower. What runs is in
``streams.compiled``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from streams.compiled import BUILDS, GROUP, MODULES, SOURCES, SUFFIX, folder

_SETUP: Final = """
from mypyc.build import mypycify
from setuptools import setup

modules = mypycify({files!r}, opt_level="3", debug_level="0", group_name={group!r})
for module in modules:
    # Small functions are then made part of those that call them.
    module.extra_compile_args.append("-fvisibility=hidden")
setup(name="domain", packages=[], ext_modules=modules)
"""
_LOG_LINES: Final = 5
_COMPILERS: Final = ("cc", "gcc", "clang")


def missing() -> str:
    """What a build lacks on this machine, '' where all is there."""
    if os.name != "posix":
        return "it is built on POSIX systems only"
    if not any(map(shutil.which, _COMPILERS)):
        return "there is no C compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are not installed"
    absent = [name for name in ("mypyc", "setuptools") if find_spec(name) is None]
    return f"{' and '.join(absent)} is not installed" if absent else ""


def build() -> str:
    """Compile into the folder of these sources, and remove builds of others; what was done, as a sentence."""
    target = folder()
    if target.is_dir():
        return "The domain is compiled."
    lack = missing()
    if lack:
        return f"The domain is not compiled, which makes it slower: {lack}."
    with tempfile.TemporaryDirectory(prefix="deskpulse-compile-") as temporary:
        root = Path(temporary)
        # All sources, since types are looked up across modules; names of the packages as they are.
        shutil.copytree(SOURCES, root / "streams", ignore=shutil.ignore_patterns(".*", "__pycache__"))
        shutil.copytree(SOURCES.parent / "schemas", root / "schemas", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "streams" / "__init__.py").write_text("")
        (root / "setup.py").write_text(_SETUP.format(files=[f"streams/{name}.py" for name in MODULES], group=GROUP))
        ran = subprocess.run(
            [sys.executable, "setup.py", "build_ext", "--inplace"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        made = [*(root / "streams").glob(f"*{SUFFIX}"), *root.glob(f"*{SUFFIX}")]
        if ran.returncode or len(made) != len(MODULES) + 1:
            told = "\n".join((ran.stdout + ran.stderr).splitlines()[-_LOG_LINES:])
            return f"The domain is not compiled, which makes it slower; the compiler said:\n{told}"
        shutil.rmtree(BUILDS, ignore_errors=True)
        staged = BUILDS / f".{target.name}"
        staged.mkdir(parents=True)
        for library in made:
            shutil.copy2(library, staged / library.name)
        # At one stroke: whoever starts meanwhile sees all of it or nothing.
        staged.rename(target)
    return f"Compiled the domain ({len(MODULES)} modules)."


if __name__ == "__main__":
    print(build())
