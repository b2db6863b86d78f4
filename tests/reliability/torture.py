"""The trials of the tests, in full: `make torture`, or python tests/reliability/torture.py [PART …] [--jobs 2].

Each part is cut into tasks with seeds of their own, which are spread over processes; so what is tried does not depend on how many
there are. It writes what it tried, and how long that took, into its row of the table in docs/reliability.md. A part that finds
something raises, and leaves its row as it was.
"""

import argparse
import collections
import functools
import gc
import itertools
import multiprocessing
import os
import platform
import random
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT / "tests" / folder)
    for folder in ("", "attacks", "dataset", "loader", "order", "remote", "write")
]

import concurrency  # noqa: E402
import damage  # noqa: E402
import events as model_of_events  # noqa: E402
import fuzz  # noqa: E402
import kills  # noqa: E402
import loader_interrupts  # noqa: E402
import loader_resumptions  # noqa: E402
import loaders  # noqa: E402
import mixtures  # noqa: E402
import power_loss  # noqa: E402
import random_faults  # noqa: E402
import resumptions  # noqa: E402
import salvage  # noqa: E402
import system_errors  # noqa: E402
import test_gallery  # noqa: E402
import test_state_machine  # noqa: E402
from operations import INDEX, PATH, all_short, small_writers  # noqa: E402
from power_loss import Tally  # noqa: E402

import dsrecords  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
# What one task does: cuts, damages, kills, bytes to flip, copies to exchange.
CUTS, BURSTS, MENDS, ROUNDS, BITS, COPIES = 500, 5000, 500, 50, 250, 25
READERS = 4
TRAININGS = 50  # what one task does
LOADING = (
    "numbers",
    "transform",
    "processes",
    "stuck",
    "torch fork",
    "torch spawn",
    "torch forkserver",
)
FAULTS = 250  # what one task does
RUNS, OPCODES = 100, 250  # what one task does: runs of the model of events, interruptions


def spread(function, tasks, jobs):
    """What a function returns for each task, in their order, by so many processes."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, fork, initializer=gc.freeze) as pool:
        waiting = collections.deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(_tidily, function, *task))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _tidily(function, *task):
    """What a function returns; then nothing is left of it that holds files, which are few objects and much memory."""
    try:
        return function(*task)
    finally:
        gc.collect()


def counted(function, tasks, jobs):
    """The tallies of all tasks, added up."""
    total = Tally()
    for tally in spread(function, tasks, jobs):
        total.update(tally)
    return total


def _number(count, size):
    """Tasks of at most `size` out of `count`: (number of the task, how many)."""
    return [(number, min(size, count - number * size)) for number in range(-(-count // size))]


@functools.cache
def _damaged(encoded):
    return damage.Damaged(*damage.made(encoded))


@functools.cache
def _grown():
    return damage.Damaged(*damage.appended())


def power(options):
    """Loss of power and kills, simulated."""
    parts = 16
    short = [
        (name, part, parts, options.seed) for name in ("short", "created") for part in range(parts)
    ]
    long = (("long", 0, 1, seed) for seed in itertools.count(options.seed))
    total, seen = Tally(), set()
    results, shown = spread(_power, itertools.chain(short, long), options.jobs), 0
    for number, (tally, states) in enumerate(results, 1):
        total.update(tally)
        seen.update(states)  # two tasks may come to the same state: it counts once
        if len(seen) - shown >= 50_000:
            shown = len(seen)
            print(f"  {shown:,} distinct states", flush=True)
        if number >= len(short) and len(seen) >= options.states:
            results.close()
            break
    again = total["states"] - len(seen) + total["met again"]
    return (
        f"{len(seen):,} distinct states (reached another {again:,} times), {total['crashes in recovery']:,} of"
        f" them crashes during recovery or repair, in {total['runs']:,} runs"
    ), (
        "0 losses; 0 invented records; 0 half batches; opening was refused until `repair` in "
        f"{total['refused until mended']:,} of the states, where a later write reached the disk and an earlier one did not"
    )


def _power(name, part, parts, seed):
    tally = Tally()
    if name == "long":
        power_loss.long(tally, seed, draws=3, again=0.005)
    else:
        getattr(power_loss, name)(tally, seed, draws=4, again=0.02, part=part, parts=parts)
    return dict(tally), list(tally.seen)


def errors(options):
    """Each system call fails in each way."""
    tasks = [
        (operations, start)
        for operations in [*all_short(), *system_errors.WORKLOADS]
        for start in system_errors.STARTS
    ]
    tally = counted(_errors, tasks, options.jobs)
    return (
        f"{tally['faults']:,} runs with a fault",
        f"{tally['raised']:,} raised; 0 losses; 0 writers that continued",
    )


def _errors(operations, start):
    tally = Tally()
    with small_writers():
        files = system_errors.STARTS[start]()
    system_errors.survey(operations, files, tally)
    return dict(tally)


def flips(options):
    """Every bit of both files."""
    places = len(list(damage.everywhere(_damaged(True))))
    tally = counted(
        _flips, [(at, min(at + BITS, places)) for at in range(0, places, BITS)], options.jobs
    )
    log, index = (len(_damaged(True).files[path]) for path in (PATH, INDEX))
    tried = f"{8 * places:,} flipped bits: all of a log of {log:,} bytes with every type, and of its index of {index:,}"
    return (
        tried,
        f"{tally['told of']:,} reported; {tally['harmless']:,} harmless; **0 wrong values**",
    )


def _flips(start, stop):
    tally = Tally()
    damage.flips(
        _damaged(True), tally, damage.every_bit, list(damage.everywhere(_damaged(True)))[start:stop]
    )
    return dict(tally)


def bursts(options):
    """Bursts of random bytes, zeroed and swapped blocks."""
    tally = counted(
        _bursts,
        [(options.seed + n, count) for n, count in _number(options.bursts, BURSTS)],
        options.jobs,
    )
    tried = ", ".join(
        f"{tally[kind]:,} {kind}" for kind in ("bursts", "zeroed blocks", "swapped blocks")
    )
    return (
        tried,
        f"{tally['told of']:,} reported; {tally['harmless']:,} harmless; **0 wrong values**",
    )


def _bursts(seed, count):
    tally = Tally()
    damage.disasters(_damaged(False), tally, count, seed)
    return dict(tally)


def truncation(options):
    """Both files cut at every byte."""
    rng = random.Random(options.seed)
    log, index = (len(_damaged(False).files[path]) for path in (PATH, INDEX))
    cuts = (
        [{PATH: n} for n in range(log)]
        + [{PATH: n, INDEX: None} for n in range(log)]
        + [{INDEX: n} for n in range(index)]
    )
    pairs = options.pairs
    cuts += [
        {PATH: rng.randrange(4096 if n % 2 else 0, log), INDEX: rng.randrange(index)}
        for n in range(pairs)
    ]
    tally = counted(
        _cuts, [(cuts[at : at + CUTS],) for at in range(0, len(cuts), CUTS)], options.jobs
    )
    return (
        f"{sum(tally.values()):,} cuts, {pairs:,} of them of both files; `repair` was run on each, and once more on what it had repaired",
        f"{tally['a prefix']:,} read as a committed state; {tally['told of']:,} reported; 0 others",
    )


def _cuts(cuts):
    tally = Tally()
    damage.cuts(_damaged(False), tally, cuts)
    return dict(tally)


def mends(options):
    """Damaged datasets reported, saved and repaired in place."""
    tally = counted(
        _mends,
        [(options.seed + n, count) for n, count in _number(options.mends, MENDS)],
        options.jobs,
    )
    return f"{tally['damaged datasets']:,} damaged datasets", (
        f"{tally['records saved']:,} records saved, 0 that were not written; {tally['mended in place']:,} repaired in place, "
        f"{tally['refused in place, untouched']:,} refused and unchanged; {tally['without a header']:,} had no header left"
    )


def _mends(seed, count):
    tally = Tally()
    for number, small in enumerate((_damaged(False), _grown())):
        salvage.trials(small, tally, (count + number) // 2, seed)
    return dict(tally)


def mixed(options):
    """Files of copies that were edited apart, exchanged and half overwritten."""
    tally = counted(
        _mixed,
        [(options.seed + COPIES * n, count) for n, count in _number(options.copies, COPIES)],
        options.jobs,
    )
    return (
        f"{tally['pairs of copies']:,} pairs of copies: {tally['exchanged']:,} files exchanged, {tally['mixtures']:,} mixed block by"
        f" block, {tally['views']:,} views; {tally['overwritten under a writer']:,} logs overwritten under a writer,"
        f" {tally['overwritten under a reader']:,} under a reader, {tally['indexes exchanged under a writer']:,} indexes exchanged"
    ), (
        f"{tally['shown']:,} read as a list that one of the two was, {tally['shown in part']:,} with errors for some records;"
        f" {tally['refused']:,} refused; 0 wrong lists; 0 writes into files of others"
    )


def _mixed(seed, count):
    tally = Tally()
    for number in range(count):
        mixtures.trials(tally, seed + number)
    return dict(tally)


def kill(options):
    """Processes killed."""
    tally = counted(
        _kill,
        [(count, options.seed + 1000 * n) for n, count in _number(options.rounds, ROUNDS)],
        options.jobs,
    )
    tried = f"{tally['rounds']:,} writers killed with SIGKILL after {tally['acknowledged']:,} acknowledged changes; {READERS} readers"
    return (
        f"{tried} read {tally['looks']:,} times",
        "0 acknowledged changes lost; 0 wrong or partial snapshots",
    )


def _kill(count, seed):
    return dict(kills.rounds(count, seed, READERS))


def together(options):
    """One writer; readers in threads, forked and spawned processes."""
    seconds = 60 * options.minutes / options.jobs
    tasks = [(seconds, options.seed + number) for number in range(options.jobs)]
    tally = counted(concurrency.trial, tasks, options.jobs)
    tried = f"{tally['changes']:,} changes; 8 threads, 2 forked and 2 spawned processes read {tally['looks']:,} times"
    return (
        tried,
        f"0 wrong or partial snapshots; {tally['second writers refused']:,} second writers refused",
    )


def model(options):
    """Random operations on a dataset and on a Python list."""
    tally = counted(
        _model,
        [(options.seed + n, count) for n, count in _number(options.examples, 50)],
        options.jobs,
    )
    return (
        f"{tally['runs']:,} runs of {tally['operations']:,} operations, {tally['crashes']:,} of them crashes",
        "0 differences",
    )


def _model(seed, examples):
    return test_state_machine.run(seed, examples)


def hostile(options):
    """Hostile files."""
    cases = list(
        spread(test_gallery.measured, [(name,) for name in test_gallery.ATTACKS], options.jobs)
    )
    seconds, memory = (max(case[i] for case in cases) for i in (0, 1))
    tried = (
        f"{len(cases)} named cases, in at most {seconds:.2f} s of CPU and {memory / 2**20:.0f} MiB"
    )
    return tried, "0 errors other than those of the gallery; 0 crashes"


def fuzzing(options):
    """Fuzzing by atheris."""
    runs = list(
        spread(fuzz.campaign, [(name, options.minutes) for name in fuzz.TARGETS], options.jobs)
    )
    tried = ", ".join(f"{name} {count:,}" for name, count in zip(fuzz.TARGETS, runs, strict=True))
    return (
        f"{options.minutes:g} min for each target; inputs: {tried}",
        "0 errors other than our own",
    )


def events(options):
    """Random events around a dataset, and a Python list."""
    tally = counted(
        model_of_events.runs,
        [(options.seed + 1000 * n, count) for n, count in _number(options.runs, RUNS)],
        options.jobs,
    )
    runs = tally.pop("runs")
    kinds = ", ".join(f"{number:,} {name}" for name, number in sorted(tally.items()))
    return f"{runs:,} runs of {sum(tally.values()):,} events: {kinds}", (
        "0 differences; 0 descriptors and locks left"
    )


def interruptions(options):
    """An exception at each opcode of each change."""
    tasks = []
    for name in model_of_events.CHANGES:
        for is_later in (False, True):
            numbers = range(0, model_of_events.opcodes(name, is_later), options.every)
            parts = range(0, len(numbers), OPCODES)
            tasks += [(name, is_later, numbers[at : at + OPCODES]) for at in parts]
    tally = counted(model_of_events.interruptions, tasks, options.jobs)
    which = "" if options.every == 1 else f" (one of {options.every})"
    return (
        f"{tally['interruptions']:,} opcodes{which} of {len(model_of_events.CHANGES)} changes, each the first and a later one of its handle",
        "0 lists other than those of before and after; 0 descriptors and locks left",
    )


def makers(options):
    """Six processes make one dataset at once."""
    tasks = [(count,) for _, count in _number(options.races, ROUNDS)]
    tally = counted(model_of_events.races, tasks, options.jobs)
    return (
        f"{tally['races']:,} races of six processes",
        "one has made it each time, and it is that one's; nothing else is left",
    )


def signals(options):
    """A timer that saves amid appends."""
    tasks = [(60 * options.signals, options.seed + n) for n in range(options.jobs)]
    tally = counted(model_of_events.signals, tasks, options.jobs)
    return (
        f"{options.signals:g} min in each of {options.jobs} processes: {tally['signals']:,} signals amid {tally['appends']:,} appends",
        "0 lost, 0 twice",
    )


def order(options):
    """Trainings stopped anywhere and resumed on another number of ranks."""
    tally = counted(
        _order,
        [
            (options.seed + 10**6 + TRAININGS * n, count)
            for n, count in _number(options.trainings, TRAININGS)
        ],
        options.jobs,
    )
    return (
        f"{tally['trials']:,} trainings of {resumptions.EPOCHS} epochs, {tally['stops']:,} stops; on 1, 2, 3, 8 and 16 ranks;"
        f" {tally['mixtures']:,} of mixtures, {tally['windows']:,} within windows, {tally['by length']:,} by length"
    ), (
        f"0 samples lost; 0 twice but for those that are marked; {tally['equal batches']:,} global batches the same on all numbers of ranks"
    )


def _order(seed, count):
    tally = Tally()
    for number in range(count):
        tally.update(resumptions.trial(seed + number))
    return dict(tally)


def loader(options):
    """Trainings by loaders, stopped anywhere and resumed; Ctrl-C amid loading."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "numbers.rec")
        loaders.make_numbers(path, loader_interrupts.SAMPLES).close()
        seeds = range(options.seed, options.seed + options.loadings)
        parts = [seeds[at : at + TRAININGS] for at in range(0, len(seeds), TRAININGS)]
        resumed = counted(_resumed, [(path, part) for part in parts], options.jobs)
        times = range(options.interrupts)
        tasks = [(way, path, seed) for way in LOADING for seed in times]
        tally = counted(loader_interrupts.trial, tasks, options.jobs)
    ways = ", ".join(f"{tally[way]:,} {way}" for way in LOADING)
    return (
        f"{resumed['trials']:,} trainings of {resumptions.EPOCHS} epochs with {resumed['loaders']:,} loaders of 0 to 2 threads, on 1 to 16"
        f" ranks, {resumed['stops']:,} stops; {resumed['trials with processes']:,} with worker processes; {tally['interrupts']:,} times"
        f" Ctrl-C: {ways}"
    ), (
        f"0 samples lost or twice; {resumed['equal batches']:,} global batches the same on all numbers of ranks, and all random numbers;"
        " each process ended, the next iteration worked; 0 processes, shared memory and files left"
    )


def _resumed(path, seeds):
    tally = Tally()
    for seed in seeds:
        tally.update(loader_resumptions.trial(seed))
    with dsrecords.open(path) as dataset:
        tally.update(loader_resumptions.trial_with_processes(dataset[:100], seeds[0]))
    return dict(tally)


def remote(options):
    """A bucket whose service fails at random."""
    tasks = [(options.seed + number, count) for number, count in _number(options.faults, FAULTS)]
    tally = counted(random_faults.trial, tasks, options.jobs)
    return (
        f"{tally['faults']:,} faults (errors 429, 500 and 503, answers that are cut, empty or slow, broken connections);"
        f" {tally['reads']:,} datasets read, {tally['uploads']:,} written, {tally['replaced']:,} found replaced"
    ), (
        f"0 wrong values, 0 mixed versions; {tally['errors']:,} readings and {tally['broken']:,} uploads failed eight times, with an"
        " error of our own: of these uploads nothing opens but what is whole"
    )


PARTS = {
    "truncation": truncation, "power": power, "kill": kill, "flips": flips, "bursts": bursts, "errors": errors,
    "mixed": mixed, "together": together, "model": model, "hostile": hostile, "fuzzing": fuzzing, "mends": mends,
    "events": events, "interruptions": interruptions, "makers": makers, "signals": signals,
    "order": order, "loader": loader, "remote": remote,
}  # fmt: skip


def enter(name, function, tried, found, minutes):
    """Put a row into the table of the page."""
    row = f"| {function.__doc__.strip()} `{name}` | {tried} | {found} | {minutes:.1f} min |"
    page, count = re.subn(
        rf"^\|[^|]*`{name}` \|.*$",
        lambda match: row,
        PAGE.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    if count != 1:
        raise SystemExit(f"{PAGE} has {count} rows for {name}")
    PAGE.write_text(page, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    parser.add_argument("--seed", type=int, default=20_261_122)
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="processes; by default one for each core"
    )
    parser.add_argument(
        "--states",
        type=int,
        default=1_000_000,
        help="of the power-loss simulation, no two the same",
    )
    parser.add_argument("--bursts", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=20_000, help="of cuts in both files")
    parser.add_argument("--mends", type=int, default=20_000)
    parser.add_argument("--copies", type=int, default=1000, help="pairs that are edited apart")
    parser.add_argument("--trainings", type=int, default=7000, help="that are stopped and resumed")
    parser.add_argument("--loadings", type=int, default=1000, help="trainings by loaders")
    parser.add_argument("--interrupts", type=int, default=100, help="Ctrl-C in each way of loading")
    parser.add_argument("--faults", type=int, default=1000, help="of a service elsewhere")
    parser.add_argument("--rounds", type=int, default=1000, help="of kill -9")
    parser.add_argument("--runs", type=int, default=10_000, help="of the model of events")
    parser.add_argument("--every", type=int, default=1, help="so many opcodes one is interrupted")
    parser.add_argument("--races", type=int, default=1000, help="of makers")
    parser.add_argument("--signals", type=float, default=10, help="minutes")
    parser.add_argument("--examples", type=int, default=2000, help="of the model")
    parser.add_argument(
        "--minutes",
        type=float,
        default=float(os.environ.get("MINUTES", 2)),
        help="of fuzzing, for each target",
    )
    parser.add_argument("--dry", action="store_true", help="leave the page as it is")
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, seed {options.seed}, {options.jobs} jobs"
    )
    for name in options.parts or PARTS:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        started = time.monotonic()
        tried, found = PARTS[name](options)
        minutes = (time.monotonic() - started) / 60
        print(f"  {tried}: {found} ({minutes:.1f} min)", flush=True)
        if not options.dry:
            enter(name, PARTS[name], tried, found, minutes)


if __name__ == "__main__":
    main()
