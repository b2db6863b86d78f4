"""Measure DSRecords beside its peers, in one run, and write what came out.

    python benchmarks/run.py                      everything: under thirty minutes once the environments are made
    python benchmarks/run.py --quick              small datasets: under two minutes; to see that it runs, not to quote
    python benchmarks/run.py --peers ours,lmdb,limit --workloads small
    python benchmarks/run.py --report             write the page and the picture again from the last results

Each peer has an environment of its own (envs/) and a worker process of its own (worker.py). Rounds are interleaved:
every peer answers round 1, then every peer round 2, so that a machine that slows down slows all of them. Every round of
every peer is a fresh process.
"""

import argparse
import datetime
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import chart
import goals
import report
from environments import EnvironmentFailedError, python_of
from measure import evict, resident, warm
from peers import PEERS, Peer
from questions import READS, WRITES, Read
from workloads import WORKLOADS

HERE = Path(__file__).parent
PATIENCE = 300  # seconds after which a peer that does not answer is ended
WRITTEN_OFTEN = (
    "small",
    "images",
)  # workloads whose writing is measured in rounds; the others are written once


class WorkerError(Exception):
    """The peer failed; the message says how."""


class Client:
    """A worker process and the line protocol to it."""

    def __init__(self, peer: Peer, python: Path, log: Path):
        environ = dict(os.environ, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", DO_NOT_TRACK="1")
        environ.pop("PYTHONPATH", None)
        if peer.environment == "ours":
            environ["PYTHONPATH"] = str(HERE.parent / "src")
        self.log = open(log, "a")  # noqa: SIM115 - closed in stop()
        self.process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), peer.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environ,
            text=True,
            bufsize=1,
        )

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """One request and its answer."""
        try:
            self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise WorkerError("the process ended") from None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            self.process.kill()
            raise WorkerError(f"no answer in {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"the process ended (status {self.process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def stop(self) -> None:
        """End the process."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Run:
    """One run of the benchmarks: its settings, and the results as they come."""

    def __init__(self, options: argparse.Namespace):
        self.quick = options.quick
        self.rounds = options.rounds or (2 if options.quick else 5)
        self.write_rounds = 1 if options.quick else 3
        self.cold_rounds = 1 if options.quick else 3
        self.budget = options.budget or (0.08 if options.quick else 0.3)
        self.cold_budget = 0.5 if options.quick else 2.0
        self.envs = options.envs
        self.folder = options.data
        self.workloads = [WORKLOADS[name] for name in options.workloads]
        self.peers: dict[str, tuple[Peer, Path]] = {}
        self.gone: set[tuple[str, str]] = set()  # (workload, peer) that cannot be measured
        self.results: dict[str, Any] = {
            "quick": options.quick,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "settings": {
                "rounds": self.rounds,
                "write_rounds": self.write_rounds,
                "cold_rounds": self.cold_rounds,
                "budget": self.budget,
                "cold_budget": self.cold_budget,
                "counts": {workload.name: self.count(workload.name) for workload in self.workloads},
            },
            "machine": machine(self.folder),
            "peers": {},
            "writes": {},
            "reads": {},
            "problems": [],
        }

    def count(self, workload: str) -> int:
        """How many records this run stores of a workload."""
        return WORKLOADS[workload].quick if self.quick else WORKLOADS[workload].full

    def problem(self, text: str) -> None:
        """Print what went wrong, and keep it for the page."""
        print(f"  ! {text}", flush=True)
        self.results["problems"].append(text)

    def prepare(self, names: Iterable[str]) -> None:
        """Make the environments; a peer that cannot be installed is a printed line."""
        for name in names:
            peer = PEERS[name]
            try:
                python = python_of(peer.environment, self.envs)
            except EnvironmentFailedError as failure:
                self.problem(f"{name} is left out: its environment could not be made: {failure}")
                continue
            self.peers[name] = (peer, python)

    def client(self, name: str) -> Client:
        """A fresh process for one peer."""
        peer, python = self.peers[name]
        return Client(peer, python, self.folder / f"{name}.log")

    def turn(self, number: int) -> Iterator[str]:
        """The peers in the order of one round: each round begins with another."""
        names = list(self.peers)
        start = number * 5 % len(names) if names else 0
        return iter(names[start:] + names[:start])

    def everything(self) -> None:
        """All stages. A full run takes one workload after another and removes its files, to need less of the disk."""
        stages = [self.workloads] if self.quick else [[workload] for workload in self.workloads]
        self.check_stage()
        for stage in stages:
            self.write_stage([workload.name for workload in stage])
            self.read_stage([workload.name for workload in stage])
            for workload in stage:
                shutil.rmtree(self.folder / workload.name, ignore_errors=True)

    def check_stage(self) -> None:
        """`check()` of a whole dataset beside a bare checksum of the same file, where ours is asked."""
        if "ours" not in self.peers or "images" not in self.results["settings"]["counts"]:
            return
        _, python = self.peers["ours"]
        size = "0.1" if self.quick else "5"
        script = str(HERE / "checking.py")
        command = [str(python), script, "--gigabytes", size, "--data", str(self.folder), "--json"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            self.problem(f"checking.py: {answer.stderr.splitlines()[-1:]}")
            return
        self.results["check"] = json.loads(answer.stdout)
        print("  check() of a whole dataset", flush=True)

    def path(self, workload: str, name: str) -> Path:
        """The folder of one peer's dataset."""
        return self.folder / workload / PEERS[name].data

    def write_stage(self, workloads: list[str]) -> None:
        """Write every dataset, measured; then compare what is read back with what was stored."""
        rounds = self.write_rounds if set(workloads) & set(WRITTEN_OFTEN) else 1
        for number in range(rounds):
            for name in self.turn(number):
                began = time.perf_counter()
                with self.client(name) as client:
                    self.write_turn(client, name, workloads, number, last=number == rounds - 1)
                self.progress("write", workloads, number, name, began)

    def write_turn(
        self, client: Client, name: str, workloads: list[str], number: int, *, last: bool
    ) -> None:
        """One peer's turn at writing: each question; on the last round also a check of what is read back."""
        try:
            hello = client.ask("hello")
        except WorkerError as failure:
            self.problem(f"{name}: {failure}")
            self.peers.pop(name)
            return
        known = self.results["peers"].setdefault(name, {**hello, "imports": []})
        known["imports"].append(hello["import_seconds"])
        if hello.get("native") is False and len(known["imports"]) == 1:
            self.problem(f"{name} runs without its compiled part: build it, or say so")
        if PEERS[name].files:
            return
        for workload in workloads:
            if (workload, name) in self.gone:
                continue
            common = {
                "workload": workload,
                "count": self.count(workload),
                "folder": str(self.path(workload, name)),
            }
            try:
                written = False
                for question in WRITES:
                    if question.workload == workload:
                        answer = client.ask("write", verb=question.verb, **common)
                        if "unsupported" not in answer:
                            self.results["writes"].setdefault(question.key, {}).setdefault(
                                name, []
                            ).append(answer)
                            written = True
                if not written:
                    self.gone.add((workload, name))
                elif last:
                    client.ask("check", **common)
            except WorkerError as failure:
                self.problem(f"{name}, {workload}: {failure}")
                self.gone.add((workload, name))
                if client.process.poll() is not None:
                    return

    def read_stage(self, workloads: list[str]) -> None:
        """Ask every reading question in rounds: warm files first, then cold ones."""
        asked = [question for question in READS if question.workload in workloads]
        warm_questions = [question for question in asked if not question.cold]
        cold_questions = [question for question in asked if question.cold]
        for questions, rounds in (
            (warm_questions, self.rounds),
            (cold_questions, self.cold_rounds),
        ):
            for number in range(rounds if questions else 0):
                for name in self.turn(number):
                    began = time.perf_counter()
                    self.read_turn(name, questions, number)
                    self.progress(
                        "cold" if questions[0].cold else "read", workloads, number, name, began
                    )

    def read_turn(self, name: str, questions: list[Read], number: int) -> None:
        """One peer's turn at reading, in a fresh process."""
        readable = [q for q in questions if (q.workload, PEERS[name].data) not in self.gone]
        if not readable:
            return
        held: dict[str, float] = {}
        with self.client(name) as client:
            for question in readable:
                folder = self.path(question.workload, name)
                if question.cold:
                    evict(folder)
                elif question.workload not in held:
                    warm(folder)
                if question.cold or question.workload not in held:
                    held[question.workload] = resident(folder)
                try:
                    answer = client.ask(
                        "read",
                        workload=question.workload,
                        verb=question.verb,
                        folder=str(folder),
                        count=self.count(question.workload),
                        size=question.size,
                        least=question.least,
                        seed=number + 1,
                        share=share(question, readable),
                        most=question.most // 8 if self.quick else question.most,
                        budget=self.cold_budget if question.cold else self.budget,
                        cold=question.cold,
                        again=question.again,
                    )
                except WorkerError as failure:
                    self.problem(f"{name}, {question.key}: {failure}")
                    if client.process.poll() is not None:
                        return
                    continue
                if "unsupported" not in answer:
                    answer["resident"] = held[question.workload]
                    self.results["reads"].setdefault(question.key, {}).setdefault(name, []).append(
                        answer
                    )

    def progress(
        self, what: str, workloads: list[str], number: int, name: str, began: float
    ) -> None:
        """One line, so that a long run is seen to go on."""
        seconds = time.perf_counter() - began
        print(
            f"  {what} {'+'.join(workloads)} round {number + 1}: {name} {seconds:.1f} s", flush=True
        )


def share(question: Read, asked: list[Read]) -> tuple[float, float]:
    """Which part of the shuffled positions a question reads: no record is asked for by two questions of one process."""
    sharing = [q for q in asked if q.workload == question.workload and q.size]
    if question not in sharing:
        return 0.0, 1.0
    k = sharing.index(question)
    return k / len(sharing), (k + 1) / len(sharing)


def machine(folder: Path) -> dict[str, str]:
    """What the run was made on."""
    facts = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
    }
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                facts["processor"] = line.partition(":")[2].strip()
                break
        facts["memory"] = f"{int(Path('/proc/meminfo').read_text().split()[1]) / (1 << 20):.0f} GiB"
        probe = subprocess.run(
            ["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=False
        )
        facts["filesystem"] = probe.stdout.split()[-1] if probe.returncode == 0 else "?"
        facts["virtual machine"] = (
            "yes" if "hypervisor" in Path("/proc/cpuinfo").read_text() else "no"
        )
        device = os.stat(folder).st_dev
        queue = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        queue = queue if (queue / "queue").exists() else queue.resolve().parent
        facts["read-ahead"] = f"{(queue / 'queue/read_ahead_kb').read_text().strip()} KB"
    except (OSError, ValueError, IndexError):
        pass
    facts["python"] = platform.python_version()
    return facts


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure DSRecords beside its peers.")
    names = lambda known: lambda text: [check_name(name, known) for name in text.split(",")]  # noqa: E731
    parser.add_argument(
        "--quick", action="store_true", help="small datasets: to see that everything runs"
    )
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument(
        "--workloads", type=names(WORKLOADS), default=list(WORKLOADS), help=", ".join(WORKLOADS)
    )
    parser.add_argument("--rounds", type=int, help="rounds of warm reading (5; quick: 2)")
    parser.add_argument(
        "--budget", type=float, help="seconds for one question of one round (0.3; quick: 0.08)"
    )
    parser.add_argument(
        "--envs", type=Path, default=HERE / ".envs", help="where the environments are kept"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=HERE / ".data",
        help="where datasets are written: 17 GB, removed",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where results go (benchmarks/; quick or partial: the data folder)",
    )
    parser.add_argument(
        "--goals",
        action="store_true",
        help="measure the peers of the aims alone: goals.json, and the last columns of the first table of RESULTS.md",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="only write the page and the picture from results.json",
    )
    return parser.parse_args(arguments)


def check_name(name: str, known: Iterable[str]) -> str:
    """`name`, if it is known."""
    if name not in known:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return name


def publish(results: dict[str, Any], output: Path) -> None:
    """Write the JSON, the page and the picture, and print the tables."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    later = output / "goals.json"
    aimed = json.loads(later.read_text()) if later.exists() else None
    page = report.page(results, aimed)
    (output / "RESULTS.md").write_text(page)
    (output / "results.svg").write_text(chart.draw(results))
    print(report.tables(results))
    print(f"results.json, RESULTS.md and results.svg are in {output}")


def main() -> int:
    """Run what the command line asks for."""
    options = parse()
    if options.goals:
        options.peers = list(goals.AIMED)
    whole = (
        not options.quick
        and set(options.peers) == set(PEERS)
        and set(options.workloads) == set(WORKLOADS)
    )
    output = options.output or (HERE if whole or options.report else options.data)
    if options.report:
        publish(json.loads((output / "results.json").read_text()), output)
        return 0
    began = time.perf_counter()
    options.data.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    try:
        run.prepare(options.peers)
        made = time.perf_counter()
        run.everything()
    finally:
        for workload in options.workloads:
            shutil.rmtree(options.data / workload, ignore_errors=True)
    run.results["minutes"] = (time.perf_counter() - made) / 60
    if options.goals and not options.quick:
        (HERE / "goals.json").write_text(json.dumps(run.results, indent=1) + "\n")
        publish(json.loads((HERE / "results.json").read_text()), HERE)
    else:
        publish(run.results, output)
    print(f"{time.perf_counter() - made:.0f} s, and {made - began:.0f} s to make environments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
