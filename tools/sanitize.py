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
    """Run pytest in a process into which the sanitizers' library is loaded first."""
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path.strip(os.pathsep)}
    environment["LD_PRELOAD"] = library.stdout.strip()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
