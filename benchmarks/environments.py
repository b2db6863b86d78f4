"""One virtual environment for each file in envs/, made when first needed: the peers do not resolve together."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

_FILES = Path(__file__).parent / "envs"


class EnvironmentFailedError(Exception):
    """An environment could not be made; the message is pip's last line."""


def is_made(name: str, folder: Path) -> bool:
    """Whether environment `name` is there, made from its file as it is now."""
    stamp = folder / name / ".made-from"
    return stamp.exists() and stamp.read_text() == _wanted(name)


def _wanted(name: str) -> str:
    return hashlib.sha256((_FILES / f"{name}.txt").read_bytes()).hexdigest()


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of environment `name` below `folder`, which is made if missing or if its file has changed."""
    requirements = _FILES / f"{name}.txt"
    target = folder / name
    python = target / "bin" / "python"
    if is_made(name, folder) and python.exists():
        return python
    print(f"making the environment of {name} ...", flush=True)
    venv.create(target, with_pip=True, clear=True)
    _pip(python, "--upgrade", "pip")
    # torch comes first and alone: asked for together with a package that wants any "torch", pip may pick a build with
    # several GB of CUDA.
    first = [line for line in requirements.read_text().splitlines() if line.startswith("torch==")]
    if first:
        _pip(python, *first)
    _pip(python, "-r", str(requirements))
    (target / ".made-from").write_text(_wanted(name))
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *arguments,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or ["pip failed"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise EnvironmentFailedError(errors[-1])


if __name__ == "__main__":
    for path in sorted(_FILES.glob("*.txt")):
        try:
            print(path.stem, python_of(path.stem, Path(sys.argv[1])))
        except EnvironmentFailedError as failure:
            print(f"{path.stem}: {failure}")
