"""What would be published, looked at and tried as users get it.

Usage: release_check.py

It builds the source distribution, and of that the wheels: the pure one, and, where there is a C
compiler, the one with the compiled twin. It looks at what is in them, and installs each alone into
a fresh environment of every Python of this machine, where `tests/smoke.py` and an example run.
"""

import dataclasses
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import dsrecords

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests" / "smoke.py"
EXAMPLE = ROOT / "examples" / "read_dsrecords.py"
OLDEST = 10  # the minor version of the oldest Python
OLDEST_COMPILED = 11  # whose stable ABI the twin is built for
LARGEST = 2**20  # bytes of a wheel
OF_PURE = "pure"
OF_COMPILED = "compiled"
DESCRIBE = (
    "import platform as p, sys; "
    "print(sys.version_info[1], p.python_implementation(), sys.version_info[3], p.python_version())"
)


class ReleaseError(Exception):
    """Something that must not be published."""


@dataclasses.dataclass
class Python:
    """A Python of this machine.

    Attributes:
        path: of its program.
        minor: the second number of its version.
        version: the whole of it.
    """

    path: str
    minor: int
    version: str


def run(*command: object, **environment: str) -> str:
    """Run a command, and return what it prints. Raises ReleaseError if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
    )
    if done.returncode:
        called = " ".join(map(str, command))
        raise ReleaseError(f"{called}\n{done.stdout}{done.stderr}")
    return done.stdout


def require(condition: object, problem: str) -> None:
    """Raise ReleaseError if a condition is false."""
    if not condition:
        raise ReleaseError(problem)


# Building


def why_not_compiled() -> str:
    """Why the compiled twin cannot be built here; empty if it can, and so must be."""
    paths = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    code = f"{paths}; import hatch_build; print(hatch_build.problem())"
    return run(sys.executable, "-c", code).strip()


def built(folder: Path) -> dict[str, Path]:
    """Build the source distribution, and wheels of it alone; return the wheels by kind."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT)
    (archive,) = folder.glob("*.tar.gz")
    look_at_sdist(archive)
    wheels = {OF_PURE: wheel_of(archive, folder / OF_PURE, "never")}
    reason = why_not_compiled()
    if reason:
        print(f"no compiled wheel: {reason}")
    else:
        wheels[OF_COMPILED] = wheel_of(archive, folder / OF_COMPILED, "require")
    run(sys.executable, "-m", "twine", "check", "--strict", archive, *wheels.values())
    return wheels


def wheel_of(
    archive: Path,
    folder: Path,
    how: str,
) -> Path:
    """Build a wheel of the source distribution."""
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        archive,
        DSRECORDS_BUILD=how,
    )
    (wheel,) = folder.glob("*.whl")
    is_pure = wheel.name.endswith("-py3-none-any.whl")
    require(is_pure == (how == "never"), f"DSRECORDS_BUILD={how} built {wheel.name}")
    return wheel


# Looking


def look_at_sdist(archive: Path) -> None:
    """Require that the source distribution has what it is built and tested of."""
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "tests/smoke.py"):
        require(name in names, f"{archive.name} lacks {name}")


def look_at_wheel(wheel: Path) -> None:
    """Print what is in a wheel. Raises ReleaseError for what must not be, or is not there."""
    size = wheel.stat().st_size
    require(size < LARGEST, f"{wheel.name} has {size:,} bytes, more than {LARGEST:,}")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (place,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(opened.read(place).decode())
    info = place.removesuffix("METADATA")
    allowed = ("dsrecords/", info)
    strange = [name for name in names if not name.startswith(allowed)]
    require(not strange, f"{wheel.name} installs {strange}")
    for name in ("dsrecords/py.typed", f"{info}licenses/LICENSE", f"{info}entry_points.txt"):
        require(name in names, f"{wheel.name} lacks {name}")
    version = metadata["Version"]
    require(version == dsrecords.__version__, f"{wheel.name} is of version {version}")
    require(
        version == newest_change(), f"CHANGELOG.md begins with {newest_change()}, not {version}"
    )
    for key in ("Summary", "License-Expression", "Requires-Python"):
        require(metadata[key], f"{wheel.name} does not say its {key}")
    print(f"{wheel.name}: {size:,} bytes, {len(names)} files")
    for folder, count in counted(names).items():
        print(f"  {count:4} {folder}")


def newest_change() -> str:
    """Return the version that the changelog begins with."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(r"^## (\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def counted(names: list[str]) -> dict[str, int]:
    """Count files by the folder that they are in."""
    counts: dict[str, int] = {}
    for name in sorted(names):
        folder = os.path.dirname(name)
        counts[folder] = counts.get(folder, 0) + 1
    return counts


# Trying


def pythons() -> Iterator[Python]:
    """Yield the Pythons of this machine, one of each version, and say which are passed over."""
    seen = set()
    for path in programs():
        try:
            facts = run(path, "-I", "-c", DESCRIBE).split()
        except ReleaseError:
            print(f"skipped {path}: it does not start")
            continue
        minor = int(facts[0])
        problem = ""
        if minor < OLDEST:
            problem = f"{facts[3]} is older than 3.{OLDEST}"
        elif facts[1] != "CPython":
            problem = f"it is {facts[1]}"
        elif facts[2] != "final":
            problem = f"{facts[3]} is not a final release"
        elif minor in seen:
            problem = f"another 3.{minor} was tried"
        if problem:
            print(f"skipped {path}: {problem}")
            continue
        seen.add(minor)
        yield Python(path, minor, facts[3])


def programs() -> list[str]:
    """Return the programs called python3.N in the folders of PATH, and those of pyenv."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted(pyenv.glob("versions/*/bin"))
    found: list[Path] = []
    for folder in folders:
        found += sorted(folder.glob("python3.*"))
    return [
        str(path)
        for path in found
        if re.fullmatch(r"python3\.\d+", path.name) and os.access(path, os.X_OK)
    ]


def try_python(
    python: Python,
    wheels: dict[str, Path],
    folder: Path,
) -> bool:
    """Install wheels under a Python, and use them; return whether it can make environments."""
    venv = folder / f"3.{python.minor}"
    try:
        run(python.path, "-m", "venv", "--clear", venv)
    except ReleaseError:
        print(f"skipped {python.path}: it cannot make a virtual environment")
        return False
    program = venv / "bin" / "python"
    tried = []
    for kind, wheel in wheels.items():
        if kind == OF_COMPILED and python.minor < OLDEST_COMPILED:
            continue
        run(program, "-m", "pip", "install", "--quiet", "--force-reinstall", wheel)
        use(program, folder, kind)
        tried.append(kind)
    # Where isal has no wheel, zlib does its work.
    run(program, "-m", "pip", "uninstall", "--quiet", "--yes", "isal")
    use(program, folder, tried[-1])
    print(f"passed with Python {python.version}: {', '.join(tried)}, and without isal")
    return True


def use(
    program: Path,
    folder: Path,
    kind: str,
) -> None:
    """Run the smoke test, and an example, where the checkout cannot be imported."""
    run(program, "-I", "-W", "error", SMOKE, DSRECORDS_SMOKE=kind)
    work = Path(tempfile.mkdtemp(dir=folder))
    made = work / "a.rec"
    code = f"import dsrecords; dsrecords.make_dataset([(7, 'cat')], {str(made)!r}, ['int8', 'str'])"
    run(program, "-I", "-W", "error", "-c", code)
    printed = run(program, "-I", EXAMPLE, made)
    require("cat" in printed, f"{EXAMPLE.name} printed {printed!r}")


def main() -> int:
    """Check everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            wheels = built(folder)
            for wheel in wheels.values():
                look_at_wheel(wheel)
            tried = [python for python in pythons() if try_python(python, wheels, folder)]
            require(tried, "no Python was tried")
        except ReleaseError as problem:
            print(f"not to be released: {problem}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
