"""The trials of the tests, in full: `make torture`, or python tests/reliability/torture.py [PART …]. Takes an hour or more.

Each part writes what it tried, and how long that took, into its row of the table in docs/reliability.md. A part that finds
something raises, and leaves its row as it was.
"""

import argparse
import itertools
import os
import platform
import random
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "attacks")]

import damage  # noqa: E402
import fuzz  # noqa: E402
import kills  # noqa: E402
import power_loss  # noqa: E402
import system_errors  # noqa: E402
from power_loss import Tally  # noqa: E402
from workloads import INDEX, PATH, all_short, beginning, small_writers  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"


def power(options):
    """Loss of power and kills, simulated."""
    tally = Tally()
    power_loss.created(tally, options.seed, draws=4, again=0.02)
    power_loss.short(tally, options.seed, draws=4, again=0.02)
    shown = 0
    for seed in itertools.count(options.seed):
        if tally["states"] >= options.states:
            break
        power_loss.long(tally, seed, draws=3, again=0.005)
        if tally["states"] - shown >= 20_000:
            shown = tally["states"]
            print(f"  {tally}", flush=True)
    return f"{tally['states']:,} states, {tally['crashes in recovery']:,} of them crashes amid recovery or repair", (
        "0 losses; 0 inventions; 0 half batches; opening was refused until `repair` in "
        f"{tally['refused until mended']:,} of the states, where a later write outlived an earlier one"
    )


def errors(options):
    """Each call to the system fails in each way."""
    tally = Tally()
    with small_writers():
        starts = beginning(), ({}, None)
    for operations in [*all_short(), *system_errors.WORKLOADS]:
        for start in starts:
            system_errors.survey(operations, start, tally)
    return f"{tally['faults']:,} runs with a fault", f"{tally['raised']:,} raised; 0 losses; 0 writers that went on"


def flips(options):
    """Every bit of both files."""
    tally, bits = Tally(), 0
    for images in (False, True):
        small = damage.Damaged(*damage.made(images))
        places = list(damage.everywhere(small)) if not images else _image_places(small)
        damage.flips(small, tally, damage.every_bit, places)
        bits += 8 * len(places)
    return f"{bits:,} flipped bits", f"{tally['told of']:,} told of; {tally['harmless']:,} harmless; **0 wrong values**"


def _image_places(small):
    return [(PATH, at) for _, _, fields in small.places for name in damage.IMAGES for at in range(*fields[name])]


def bursts(options):
    """Bursts of random bytes, zeroed and swapped blocks."""
    tally, small = Tally(), damage.Damaged(*damage.made())
    damage.disasters(small, tally, options.bursts, options.seed)
    tried = ", ".join(f"{tally[kind]:,} {kind}" for kind in ("burst", "zeros", "swap"))
    return tried, f"{tally['told of']:,} told of; {tally['harmless']:,} harmless; **0 wrong values**"


def truncation(options):
    """Both files cut at every byte."""
    tally, small, rng = Tally(), damage.Damaged(*damage.made()), random.Random(options.seed)
    log, index = len(small.files[PATH]), len(small.files[INDEX])
    damage.cuts(small, tally, ({PATH: n} for n in range(log)), mend=4)
    damage.cuts(small, tally, ({PATH: n, INDEX: None} for n in range(log)), mend=4)
    damage.cuts(small, tally, ({INDEX: n} for n in range(index)), mend=4)
    damage.cuts(small, tally, ({PATH: rng.randrange(log), INDEX: rng.randrange(index)} for _ in range(20_000)), mend=4)
    return (
        f"{sum(tally.values()):,} cuts",
        f"{tally['a prefix']:,} read as a state that was committed; {tally['told of']:,} told of; 0 others",
    )


def kill(options):
    """Processes killed."""
    tally = kills.rounds(options.rounds, options.seed, readers=4)
    tried = f"{tally['rounds']:,} writers killed with SIGKILL after {tally['acknowledged']:,} acknowledged changes; 4 readers"
    return f"{tried} looked {tally['looks']:,} times", "0 acknowledged changes lost; 0 wrong or half snapshots"


def fuzzing(options):
    """Fuzzing by atheris."""
    runs = fuzz.campaign(options.minutes)
    return "inputs: " + ", ".join(f"{name} {count:,}" for name, count in runs.items()), "0 errors but our own"


PARTS = {
    "truncation": truncation, "power": power, "kill": kill, "flips": flips, "bursts": bursts, "errors": errors,
    "fuzzing": fuzzing,
}  # fmt: skip


def enter(name, function, tried, found, minutes):
    """Put a row into the table of the page."""
    row = f"| {function.__doc__.strip()} `{name}` | {tried} | {found} | {minutes:.1f} min |"
    page, count = re.subn(rf"^\|[^|]*`{name}` \|.*$", lambda match: row, PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise SystemExit(f"{PAGE} has {count} rows for {name}")
    PAGE.write_text(page, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    parser.add_argument("--seed", type=int, default=20_261_122)
    parser.add_argument("--states", type=int, default=1_000_000, help="of the power-loss simulation")
    parser.add_argument("--bursts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1000, help="of kill -9")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", 1)), help="of fuzzing, for each target")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, seed {options.seed}")
    for name in options.parts or PARTS:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        started = time.monotonic()
        tried, found = PARTS[name](options)
        minutes = (time.monotonic() - started) / 60
        print(f"  {tried}: {found} ({minutes:.1f} min)", flush=True)
        enter(name, PARTS[name], tried, found, minutes)


if __name__ == "__main__":
    main()
