"""How long `import dsrecords` takes over `import numpy`: paired runs of fresh processes, and the smallest difference.

On a busy machine the smallest difference of a pair says little (it may be negative: NumPy's run was the one disturbed);
the difference between the fastest run of each is steadier.

python benchmarks/import_time.py [--pairs 20]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
CACHE = Path(__file__).parent / ".data" / "pycache"
STATEMENTS = ("import numpy", "import numpy, isal", "import dsrecords")


def seconds(statement: str) -> float:
    """The wall time of a fresh interpreter that executes one statement; it imports the library from this checkout."""
    environ = dict(
        os.environ, PYTHONPATH=str(SOURCE), PYTHONPYCACHEPREFIX=str(CACHE)
    )  # compiled, as an installed library is
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environ)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pairs", type=int, default=20, help="how many times each statement runs (20)"
    )
    pairs = parser.parse_args().pairs
    for statement in STATEMENTS:  # once unmeasured: compiles the modules, warms the page cache
        seconds(statement)
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(pairs)]
    for statement, times in zip(STATEMENTS, zip(*rounds, strict=True), strict=True):
        print(
            f"{statement:<20} median {statistics.median(times) * 1e3:6.1f} ms, min {min(times) * 1e3:6.1f} ms"
        )
    for k, over in enumerate(STATEMENTS[:-1]):
        differences = [times[-1] - times[k] for times in rounds]
        least, middle = min(differences) * 1e3, statistics.median(differences) * 1e3
        fastest = (min(times[-1] for times in rounds) - min(times[k] for times in rounds)) * 1e3
        print(
            f"dsrecords over {over}: {least:.1f} ms in the best of {pairs} pairs, {middle:.1f} ms in the median"
        )
        print(f"    {fastest:.1f} ms between the fastest run of each")


if __name__ == "__main__":
    main()
