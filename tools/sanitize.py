"""Run tests with the compiled twin built by the sanitizers: `sanitize.py [pytest's arguments]`.

AddressSanitizer and UndefinedBehaviorSanitizer (in gcc and clang) stop the process at the first
access outside of memory, and at the first operation that C does not define. The checkout's own
build is put back afterwards.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import hatch_build  # noqa: E402 - it lies beside the package, where Python does not look

FLAGS = [
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]
# Python and its packages keep memory until the end, and NumPy asks for sizes to see them refused.
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    "DSRECORDS_NATIVE": "1",
    "PYTHONMALLOC": "malloc",  # else what Python takes is not watched
}


def main(arguments: list[str]) -> int:
    """Build, test, and build again as it was. Returns pytest's exit code."""
    target = ROOT / hatch_build.MODULE
    before = target.read_bytes() if target.exists() else None
    hatch_build.build(target, FLAGS)
    try:
        return run(arguments)
    finally:
        target.unlink()
        if before is not None:
            target.write_bytes(before)


def run(arguments: list[str]) -> int:
    """Run pytest in a process into which the sanitizers' library is loaded first.

    Behind it comes that of C++: the first wraps what throws exceptions, as packages such as JAX do,
    and ends the process if it does not find what it wraps.
    """
    libraries = [library("libasan.so"), library("libstdc++.so")]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path.strip(os.pathsep)}
    environment["LD_PRELOAD"] = " ".join(libraries)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT).returncode


def library(name: str) -> str:
    """The path of a library of the compiler's."""
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
