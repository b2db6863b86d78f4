"""Is one version of the library slower than another? Every row of run.py, for two source trees, by turns.

    git worktree add ../before HEAD~10
    python benchmarks/before_after.py ../before/src src
    python benchmarks/before_after.py ../before/src src --rows small/get,small/append --rounds 21

Prints for each row the processor time of a record, and the ratio of the rates, after over before: the
median of paired rounds, in each of which both trees are asked by turns in processes of their own. The
first tree is asked by a second process as well: how far it differs from itself is the noise of the row.
Exits with 1 where the ratio is below --least by more than that noise.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from questions import READS, WRITES

HERE = Path(__file__).parent
COUNTS = {
    "small": 200_000,
    "strings": 100_000,
    "texts": 20_000,
    "images": 1_500,
    "arrays": 3_000,
    "tokens": 20_000,
    "blobs": 20_000,
}
WRITE_COUNTS = {
    "small": 100_000,
    "strings": 100_000,
    "texts": 10_000,
    "images": 500,
    "arrays": 1_500,
    "tokens": 8_000,
    "blobs": 8_000,
}
TREES = ("before", "after", "before again")


class Client:
    """A process that answers questions about one source tree."""

    def __init__(self, source: Path, peer: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
        self.process = subprocess.Popen(
            [sys.executable, "worker.py", peer],
            cwd=HERE,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **values: object) -> dict:
        """Send one request and wait for its answer."""
        self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            sys.exit(f"{do}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def cost(answer: dict) -> float:
    """Processor time of a record in seconds."""
    return max(answer["cpu"], 1e-6) / max(answer["records"], 1)


class Comparison:
    """The rows of one peer ("ours": dicts, "ours_tuples") for both trees, in `rounds` paired rounds."""

    def __init__(self, peer: str, trees: list[Path], folder: Path, options: argparse.Namespace):
        self.peer = peer
        self.folder = folder
        self.options = options
        self.costs: dict[str, dict[str, list[float]]] = {}
        sources = dict(zip(TREES, [*trees, trees[0]], strict=True))
        self.clients = {name: Client(source, peer) for name, source in sources.items()}

    def run(self) -> None:
        """Ask everything, round by round; what was asked first comes last in the next round."""
        writes = [question for question in WRITES if self._is_wanted(question)]
        reads = [question for question in READS if self._is_wanted(question)]
        for workload in sorted({question.workload for question in reads}):
            self._write(self.clients["before"], workload, COUNTS, "write", f"{workload}-read")
        for number in range(self.options.rounds):
            order = TREES[number % 3 :] + TREES[: number % 3]
            for question in writes:
                for tree in order:
                    client = self.clients[tree]
                    answer = self._write(
                        client, question.workload, WRITE_COUNTS, question.verb, tree[:6]
                    )
                    self._note(question.key, tree, cost(answer))
            for place, question in enumerate(reads):
                for tree in order:
                    self._read(question, tree, number, place)

    def _is_wanted(self, question: object) -> bool:
        if getattr(question, "cold", False):
            return False
        tuples = ("small/get", "small/scan", "strings/get")
        if self.peer == "ours_tuples" and question.key not in tuples:
            return False
        return not self.options.rows or question.key in self.options.rows

    def _write(self, client: Client, workload: str, counts: dict, verb: str, name: str) -> dict:
        path = self.folder / f"{self.peer}-{name}"
        return client.ask(
            "write", workload=workload, count=counts[workload], verb=verb, folder=str(path)
        )

    def _read(self, question: object, tree: str, number: int, place: int) -> None:
        answer = self.clients[tree].ask(
            "read",
            workload=question.workload,
            verb=question.verb,
            folder=str(self.folder / f"{self.peer}-{question.workload}-read"),
            count=COUNTS[question.workload],
            size=question.size,
            least=question.least,
            seed=100 * number + place,
            share=(0, 1 / 3),
            most=question.most,
            budget=30,
            cold=False,
            again=question.again,
        )
        self._note(question.key, tree, cost(answer))
        if "again" in answer:
            self._note(f"{question.key} again", tree, cost(answer["again"]))

    def _note(self, key: str, tree: str, seconds: float) -> None:
        self.costs.setdefault(f"{self.peer} {key}", {}).setdefault(tree, []).append(seconds)

    def close(self) -> None:
        """Let all processes end."""
        for client in self.clients.values():
            client.close()


def report(costs: dict[str, dict[str, list[float]]], least: float) -> list[str]:
    """Print a row for each question; the rows that are too slow."""
    print(f"{'row':32s} {'before µs':>10s} {'after µs':>10s} {'ratio':>7s} {'itself':>7s}")
    slow = []
    for key, trees in costs.items():
        before, after, again = (trees[tree] for tree in TREES)
        ratio = statistics.median(b / a for b, a in zip(before, after, strict=True))
        itself = [b / a for b, a in zip(before, again, strict=True)]
        noise = abs(1 - statistics.median(itself))
        print(
            f"{key:32s} {statistics.median(before) * 1e6:10.3f} "
            f"{statistics.median(after) * 1e6:10.3f} {ratio:7.3f} {statistics.median(itself):7.3f}"
        )
        if ratio < least - noise:
            slow.append(key)
    return slow


def main() -> None:
    """Measure, print, and fail where a row is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a folder in which `dsrecords` lies")
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--least", type=float, default=0.97)
    parser.add_argument("--rows", type=lambda text: text.split(","), default=[])
    parser.add_argument(
        "--peers", type=lambda text: text.split(","), default=["ours", "ours_tuples"]
    )
    options = parser.parse_args()
    costs: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for peer in options.peers:
            comparison = Comparison(peer, [options.before, options.after], Path(folder), options)
            with contextlib.closing(comparison):
                comparison.run()
            costs.update(comparison.costs)
    slow = report(costs, options.least)
    if slow:
        sys.exit(f"slower than {options.least}: {', '.join(slow)}")


if __name__ == "__main__":
    main()
