"""Loaders beside each other: samples a second, and processor time a sample, warm and cold.

    python benchmarks/loading.py --make all               make the environments: some minutes, 7 GB
    python benchmarks/loading.py                          everything: two hours or so; writes LOADING.md and loading.json
    python benchmarks/loading.py --rows jpeg256,raw256 --peers ours,ffcv,ceiling --rounds 5
    python benchmarks/loading.py --share 0.125 --rounds 1      small datasets: does it all run?
    python benchmarks/loading.py --own                    DSRecords alone: first batch, resuming, memory over ten epochs
    python benchmarks/loading.py --sweep                  DSRecords beside the decoder: sizes of images and of batches
    python benchmarks/loading.py --report                 write LOADING.md again from the last results

Each measurement is a process of its own, by turns: every peer answers round 1, then every peer round 2. A figure is the
median of the rounds. Processor time counts every thread and every child; where other processes took more than a
twentieth of the machine meanwhile, samples a second are marked with a `~`, and only the processor time is to be trusted.
A peer whose environment is missing is left out, with a line that says how to make it.
"""

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from environments import EnvironmentFailedError, is_made, python_of
from peers.loaders import LOADERS, LoaderPeer
from peers.loaders.samples import ROWS, row_of
from peers.loaders.tables import cost, page, summaries, sweep_line, table

HERE = Path(__file__).parent
RESULTS = "loading.json"
PAGE = "LOADING.md"
RECORDS = 10_000_000
SHARES = ("0", "0.37", "0.999999")
KINDS = ("threads-2", "threads-8", "processes-2", "dataloader-8")
SIZES = (32, 256)  # of batches, in the sweep
SWEPT = (
    *(f"jpeg-{size}" for size in (96, 160, 224, 256, 320, 448, 640, 1024)),
    *(f"raw-{size}" for size in (32, 224, 256, 512)),
    *(f"arrays-{size}" for size in (4, 64, 1024, 16384, 262144)),
)
PATIENCE = 900


class MeasurementError(Exception):
    """A peer failed; the message says how."""


def available(name: str, envs: Path) -> bool:
    """Whether a peer's environment is there; else say how to make it."""
    peer = LOADERS[name]
    if is_made(peer.environment, envs):
        return True
    first = ""
    if peer.system:
        first = f"`apt-get install {' '.join(peer.system)}`, then "
    command = f"python benchmarks/loading.py --make {name} --envs {envs}"
    print(f"{name} is left out, it has no environment. To make it: {first}`{command}`")
    return False


class Run:
    """One run: its settings, and the results as they come."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.rows = [row_of(name) for name in options.rows or ()]
        self.results: dict[str, Any] = {}
        self.failed: set[tuple[str, str]] = set()
        self.peers = [LOADERS[name] for name in options.peers if available(name, options.envs)]

    def everything(self) -> None:
        """Row after row: write, measure, remove."""
        for row in self.rows:
            self.measure_row(row.name)
            if not self.options.keep:
                shutil.rmtree(self.options.data / row.name, ignore_errors=True)
            self.show(row.name)
            keep(self.results, self.options.output)

    def measure_row(self, row: str) -> None:
        """Write what is missing, and measure in rounds."""
        self.samples(row)
        peers = [peer for peer in self.peers if peer.answers(row)]
        for peer in peers:
            self.write(row, peer)
        for number in range(self.options.rounds):
            turn = number % len(peers) if peers else 0
            for peer in peers[turn:] + peers[:turn]:
                for mode in self.modes(number):
                    self.read(row, peer, mode)

    def modes(self, number: int) -> list[str]:
        """Those of one round: the cold rounds may be fewer."""
        enough = number >= self.options.cold_rounds
        return [mode for mode in self.options.modes if mode == "warm" or not enough]

    def ask(self, peer: LoaderPeer, row: str, do: str, cold: bool = False) -> dict[str, Any]:
        """Start a process that answers one request."""
        options = self.options
        request = {
            "do": do,
            "peer": peer.name,
            "row": row,
            "cold": cold,
            "batch_size": options.batch_size,
            "workers": options.workers,
            "folder": str(options.data),
            "samples": str(options.data / "samples"),
        }
        python = python_of(peer.environment, options.envs)
        return answer(self.command(python, "peers.loaders.worker", json.dumps(request)), options)

    def command(self, python: Path, module: str, *arguments: str) -> list[str]:
        """A command that runs a module of this folder."""
        return [str(python), "-m", module, *arguments]

    def samples(self, row: str) -> None:
        """Make the samples of a row."""
        options = self.options
        folder = options.data / "samples"
        python = python_of("loading", options.envs)
        made = self.command(python, "peers.loaders.samples", str(folder), row, str(options.share))
        subprocess.run(made, cwd=HERE, check=True)

    def write(self, row: str, peer: LoaderPeer) -> None:
        """Let a peer write its files, if nobody did for it."""
        writer = LOADERS[peer.data]
        folder = self.options.data / row / peer.data
        if folder.exists():
            return
        try:
            self.ask(writer, row, "write")
        except MeasurementError as failure:
            self.fail(row, peer, failure)
            shutil.rmtree(folder, ignore_errors=True)

    def read(self, row: str, peer: LoaderPeer, mode: str) -> None:
        """Measure once."""
        if (row, peer.name) in self.failed or (mode == "cold" and not peer.has_files):
            return
        try:
            result = self.ask(peer, row, "read", mode == "cold")
        except MeasurementError as failure:
            self.fail(row, peer, failure)
            return
        kept = self.results.setdefault(row, {"machine": machine(self.options), "peers": {}})
        about = kept["peers"].setdefault(peer.name, {"title": result["title"], "rounds": {}})
        about["versions"] = result["versions"]
        about["rounds"].setdefault(mode, []).append(result)
        print(
            f"  {row:9} {mode:5} {peer.name:16} {cost(result):8.1f} µs  "
            f"{result['count'] / result['seconds']:9,.0f}/s  others {result['others']:.0%}"
            f"  resident {result['resident']:.0%}",
            flush=True,
        )

    def fail(self, row: str, peer: LoaderPeer, failure: Exception) -> None:
        """Leave a peer out of a row."""
        print(f"  ! {peer.name} is left out of {row}: {failure}", flush=True)
        self.failed.add((row, peer.name))

    def show(self, row: str) -> None:
        """Print a row's table."""
        if row in self.results:
            print("\n".join(table(row, self.results[row])), flush=True)


def keep(results: dict[str, Any], folder: Path) -> None:
    """Write what was found to `loading.json`; what was not measured now stays as it was."""
    path = folder / RESULTS
    known = {}
    if path.exists():
        known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, **results}, indent=1) + "\n")


class Own:
    """What is asked of DSRecords alone."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.python = python_of("loading", options.envs)

    def ask(self, *arguments: str) -> Any:
        """Ask one question, in a process of its own."""
        command = [str(self.python), "-m", "peers.loaders.own", *arguments]
        return answer(command, self.options)

    def everything(self) -> dict[str, Any]:
        """All questions; needs the environment `loading`."""
        found = {"machine": machine(self.options), **self.positions(), "memory": self.memory()}
        print(json.dumps(found, indent=1))
        return found

    def positions(self) -> dict[str, Any]:
        """Milliseconds of processor time to the first batch, and after a state."""
        data = str(self.options.data)
        count = self.ask("small", data, str(RECORDS))
        rounds = range(self.options.rounds)
        firsts = [self.ask("first", data) for _ in rounds]
        resumed = {
            share: [self.ask("resume", data, share)["resumed"] for _ in rounds] for share in SHARES
        }
        return {
            "records": count,
            "open ms": milliseconds([round_["open"] for round_ in firsts]),
            "import ms": milliseconds([round_["import"] for round_ in firsts]),
            "first batch ms": milliseconds([round_["batch"] for round_ in firsts]),
            "resumed ms": {share: milliseconds(costs) for share, costs in resumed.items()},
        }

    def memory(self) -> dict[str, list[float]]:
        """Megabytes after each of ten epochs."""
        run = Run(self.options)
        run.samples("jpeg256")
        run.write("jpeg256", LOADERS["ours"])
        found = {}
        for kind in KINDS:
            sizes = self.ask("memory", str(self.options.data), kind, "10")
            found[kind] = [round(size / 1e6, 1) for size in sizes]
        return found


def milliseconds(seconds: list[float]) -> float:
    """The median."""
    return round(statistics.median(seconds) * 1e3, 2)


def sweep(options: argparse.Namespace) -> list[dict[str, Any]]:
    """How near to the ceiling DSRecords comes, for sizes of images and of batches."""
    options.peers = ["ours", "ceiling"]
    options.modes = ["warm"]
    cases = []
    for row in options.rows:
        options.rows = [row]
        for size in SIZES:
            options.batch_size = size
            run = Run(options)
            run.measure_row(row)
            found = summaries(run.results[row], "warm")
            case = {
                "row": row,
                "batch": size,
                "cpu": found["ours"].cpu,
                "ceiling": found["ceiling"].cpu,
            }
            print(sweep_line(case), flush=True)
            cases.append(case)
        shutil.rmtree(options.data / row, ignore_errors=True)
    return cases


def answer(command: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """What a process printed last, as JSON."""
    environ = dict(os.environ, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", DO_NOT_TRACK="1")
    environ["PYTHONPATH"] = str(options.source)
    try:
        done = subprocess.run(
            command, cwd=HERE, env=environ, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"no answer in {PATIENCE} s") from None
    with open(options.data / "log.txt", "a") as log:
        log.write(f"{command}\n{done.stderr}\n")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise MeasurementError(lines[-1])
    return json.loads(done.stdout.splitlines()[-1])


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Where and how it was measured."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": models[0].partition(":")[2].strip() if models else "?",
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "batch_size": options.batch_size,
        "workers": options.workers,
        "rounds": options.rounds,
        "share": options.share,
    }


def make(names: list[str], envs: Path) -> None:
    """Make the environments of these peers."""
    for name in names:
        peer = LOADERS[name]
        try:
            python_of(peer.environment, envs)
        except EnvironmentFailedError as failure:
            needed = f" (it needs {', '.join(peer.system)})" if peer.system else ""
            print(f"{name}: its environment could not be made{needed}: {failure}")


def names_in(known: dict[str, Any]) -> Any:
    """An option's type: names separated by commas, or `all`."""

    def split(text: str) -> list[str]:
        names = list(known) if text == "all" else text.split(",")
        unknown = set(names) - set(known)
        if unknown:
            message = f"{', '.join(sorted(unknown))}: expected some of {', '.join(known)}"
            raise argparse.ArgumentTypeError(message)
        return names

    return split


def rows(text: str) -> list[str]:
    """The type of `--rows`."""
    names = list(ROWS) if text == "all" else text.split(",")
    try:
        return [row_of(name).name for name in names]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = {"warm": None, "cold": None}
    parser.add_argument("--rows", type=rows, default=None)
    parser.add_argument("--peers", type=names_in(LOADERS), default=list(LOADERS))
    parser.add_argument("--modes", type=names_in(modes), default=list(modes))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cold-rounds", type=int, default=1, help="how many of them are cold as well"
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--share", type=float, default=1.0, help="of the samples")
    parser.add_argument("--envs", type=Path, default=HERE / ".envs")
    parser.add_argument("--data", type=Path, default=HERE / ".data" / "loading")
    parser.add_argument("--source", type=Path, default=HERE.parent / "src", help="of DSRecords")
    parser.add_argument(
        "--output", type=Path, help="where results go (benchmarks/; of a share: the data folder)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the datasets")
    parser.add_argument("--make", type=names_in(LOADERS), help="make the environments of peers")
    parser.add_argument("--own", action="store_true", help="ask DSRecords alone")
    parser.add_argument("--sweep", action="store_true", help="sizes of images and of batches")
    parser.add_argument("--report", action="store_true", help="only write LOADING.md again")
    options = parser.parse_args()
    options.envs = options.envs.absolute()
    options.data = options.data.absolute()
    options.source = options.source.absolute()
    if options.output is None:
        options.output = options.data
        if options.share == 1 or options.report:
            options.output = HERE
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the command line names."""
    if options.sweep:
        options.rows = options.rows or list(SWEPT)
        return {"sweep": sweep(options)}
    if options.own:
        return {"own": Own(options).everything()}
    options.rows = options.rows or list(ROWS)
    run = Run(options)
    run.everything()
    return run.results


def main() -> None:
    """Run what the command line says."""
    options = parse()
    if options.make:
        make(options.make, options.envs)
        return
    if not options.report:
        if not available("ours", options.envs):  # its environment makes the samples too
            sys.exit(1)
        options.data.mkdir(parents=True, exist_ok=True)
        keep(measure(options), options.output)
    results = json.loads((options.output / RESULTS).read_text())
    (options.output / PAGE).write_text(page(results))
    print(f"{RESULTS} and {PAGE} are in {options.output}")


if __name__ == "__main__":
    main()
