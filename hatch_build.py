"""Builds the compiled twin into the wheel where there is a C compiler; else the wheel is pure.

Hatchling calls `CustomBuildHook` (see `tool.hatch.build` in pyproject.toml). The environment
variable DSRECORDS_BUILD decides: `never` makes a pure wheel, `require` fails where the twin cannot
be built. Run as a program, it builds the twin into the checkout.
"""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # as a program
    BuildHookInterface = object

ROOT = Path(__file__).parent
SOURCES = ROOT / "native"
MODULE = "src/dsrecords/_native/_core.abi3.so"
OLDEST = (3, 11)  # whose stable ABI has the buffer protocol: see Py_LIMITED_API in native/native.h
FLAGS = ["-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]
# A wheel needs no names, and no tables for exceptions of C++ and debuggers.
SMALLER = ["-Wl,--strip-all", "-fno-asynchronous-unwind-tables"]
STRIPPED = SMALLER if sys.platform == "linux" else []
WAYS = ("", "never", "require")


class CannotBuildError(Exception):
    """The compiled twin cannot be built here. Its text says why."""


class CustomBuildHook(BuildHookInterface):
    """Adds the compiled twin to a wheel, which then is of one platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, and tell hatchling."""
        wanted = os.environ.get("DSRECORDS_BUILD", "")
        if wanted not in WAYS:
            raise SystemExit(f"DSRECORDS_BUILD is never or require, not {wanted!r}")
        target = ROOT / MODULE
        if wanted == "never":
            if version != "editable":
                return
            target.unlink(missing_ok=True)
            return
        try:
            build(target, STRIPPED)
        except CannotBuildError as problem:
            if wanted == "require":
                raise SystemExit(f"the compiled part was not built: {problem}") from problem
            self.app.display_warning(f"without the compiled part: {problem}")
            target.unlink(missing_ok=True)
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp{OLDEST[0]}{OLDEST[1]}-abi3-{_platform()}"
        # It is not in version control, so hatchling would leave it out.
        build_data["force_include"][str(target)] = MODULE.removeprefix("src/")


def build(target: Path, flags: list[str] | None = None) -> None:
    """Compile the twin for the Python that runs this.

    Args:
        target: where to put it.
        flags: for the compiler, besides its own.

    Raises:
        CannotBuildError: there is no compiler, or Python has no stable ABI that is new enough.
    """
    reason = problem()
    if reason:
        raise CannotBuildError(reason)
    command = [
        *_compiler(),
        *FLAGS,
        *_architectures(),
        *_linking(),
        *(flags or []),
        f"-I{sysconfig.get_path('include')}",
        *sorted(map(str, SOURCES.glob("*.c"))),
        "-o",
    ]
    # Under another name first: a process that has the old one loaded goes on with it.
    fresh = target.with_suffix(f".{os.getpid()}.tmp")
    done = subprocess.run([*command, str(fresh)], capture_output=True, text=True)
    if done.returncode:
        fresh.unlink(missing_ok=True)
        raise CannotBuildError(f"the compiler failed:\n{done.stderr[-2000:]}")
    fresh.replace(target)


def problem() -> str:
    """Why it cannot be built here, by this Python; empty if it can."""
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} has no stable ABI"
    if sys.version_info < OLDEST:
        return f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded Python has no stable ABI"
    if sys.platform not in ("linux", "darwin") or sys.byteorder != "little" or sys.maxsize < 2**32:
        return f"it is for Linux and macOS on little-endian machines of 64 bits, not {sys.platform}"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Python's headers are not installed"
    if shutil.which(_compiler()[0]) is None:
        return f"there is no C compiler {_compiler()[0]}"
    return ""


def _compiler() -> list[str]:
    named = os.environ.get("CC")
    if named:
        return shlex.split(named)
    words = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(words[0]) is None:  # what Python was built with need not be here
        return ["cc"]
    return words


def _architectures() -> list[str]:
    """The flags `-arch …` of macOS: as asked for, or those that Python itself has."""
    if sys.platform != "darwin":
        return []
    asked = os.environ.get("ARCHFLAGS")
    if asked is not None:
        return shlex.split(asked)
    words = shlex.split(sysconfig.get_config_var("CFLAGS") or "")
    pairs = itertools.pairwise(words)
    return [word for flag, name in pairs if flag == "-arch" for word in (flag, name)]


def _linking() -> list[str]:
    if sys.platform == "darwin":
        return ["-bundle", "-undefined", "dynamic_lookup"]
    return ["-shared"]


def _platform() -> str:
    """The platform in the name of a wheel. `auditwheel` may make it a more general one."""
    name = os.environ.get("_PYTHON_HOST_PLATFORM") or sysconfig.get_platform()
    return name.replace("-", "_").replace(".", "_")


def main(flags: list[str]) -> None:
    """Build it into the checkout; remove what is there where it cannot be built."""
    target = ROOT / MODULE
    reason = problem()
    if os.environ.get("DSRECORDS_BUILD") == "never":
        reason = "DSRECORDS_BUILD is never"
    if reason:
        target.unlink(missing_ok=True)
        sys.stdout.write(f"without the compiled part: {reason}\n")
        return
    try:
        build(target, flags)
    except CannotBuildError as found:
        sys.exit(f"the compiled part was not built ({found}). Without it: DSRECORDS_BUILD=never")


if __name__ == "__main__":
    main(sys.argv[1:])
