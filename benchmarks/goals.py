"""What was aimed at when the compiled part was begun, beside what a run has measured.

A goal is a ratio of rates in one run on one machine, ours with all its checks, or a rate itself. Where a goal is
missed, the page gives the reason that stands here. Reasons name no rates: those are the run's.
"""

import statistics
from dataclasses import dataclass
from typing import Any

from peers import PEERS
from questions import READS, WRITES

OURS, TUPLES, LIMIT = "ours", "ours_tuples", "limit"
# The peers that the aims name, and those that were the best of a question that asks for it.
AIMED = ("ours", "ours_tuples", "lmdb", "bagz", "hf", "h5py", "parquet", "mds", "limit")
BEST = "best"  # the fastest peer of the question
RATE = "rate"  # no peer: records a second
QUESTIONS = {question.key: question for question in (*READS, *WRITES)}


@dataclass(frozen=True)
class Goal:
    """One aim.

    Attributes:
        title: the row's words.
        question: its key.
        against: a peer's name, BEST, or RATE.
        first: the least ratio (or rate) when records are read for the first time, or written.
        again: the same when they are read again; 0 where nothing was aimed at.
        ours: which of our variants is measured.
        bound: what bounds it where it is missed, and what was tried.
    """

    title: str
    question: str
    against: str
    first: float
    again: float = 0.0
    ours: str = OURS
    bound: str = ""


_SINGLE = (
    "A record is two misses of the processor's cache, its entry and its head (48 bytes together, where Bagz reads "
    "20), its verification with its neighbours', and a dict or tuple that Python makes."
)
_COPY = (
    "A first reading takes the checksum of what it copies, in one pass where the processor has the instructions; a "
    "peer that checks nothing only copies."
)
_WRITE = (
    "Every byte is summed, and a record takes a frame and a row of the index; the same disk is waited for by all. "
    "Writing back begins behind each block. In a virtual machine whose host takes back free memory, each page that comes from "
    "the host again costs more than all that: ratios change by the round (docs/performance.md)."
)

GOALS = (
    Goal("a sample of three numbers, dict", "small/get", "bagz", 1.2, 1.3, bound=_SINGLE),
    Goal("a sample of three numbers, tuple", "small/get", "bagz", 1.4, 1.6, TUPLES, _SINGLE),
    Goal("a sample of a string and a label, dict", "strings/get", "bagz", 1.4, bound=_SINGLE),
    Goal(
        "batches of 256, numbers",
        "small/batch",
        "bagz",
        6.0,
        bound="Heads that no batch has read are verified, with their neighbours: misses of the cache, at random.",
    ),
    Goal(
        "batches of 256, numbers, beside columns in memory",
        "small/batch",
        LIMIT,
        0.35,
        bound="Columns in memory are 12 bytes of a record, without a check; a frame and its entry are 48 bytes.",
    ),
    Goal(
        "a scan of numbers, dicts",
        "small/scan",
        "h5py",
        0.8,
        bound=(
            "A dict a record, which Python takes more than half of the time for; h5py's scan makes tuples by one call of "
            "`zip` over lists of a whole column."
        ),
    ),
    Goal(
        "a scan of numbers, tuples",
        "small/scan",
        "h5py",
        1.1,
        ours=TUPLES,
        bound="Heads are verified, and values gathered from frames; h5py reads columns that lie in a row.",
    ),
    Goal(
        "the label column of images, first",
        "images/column",
        "hf",
        0.5,
        bound="The index's rows are read and verified, 24 bytes and a head a record; an Arrow column is mapped as it is.",
    ),
    Goal("images, owned bytes, first", "images/batch", "lmdb", 1.2, bound=_COPY),
    Goal(
        "images, views, first",
        "images/view",
        "lmdb",
        0.5,
        bound=(
            "A view that was verified has had all its bytes read, by a new mapping: half is the checksum, half the "
            "pages' way into the process. LMDB's is a pointer into what nobody has read yet."
        ),
    ),
    Goal("arrays stacked, first", "arrays/batch", BEST, 1.25, bound=_COPY),
    Goal("tokens stacked, first", "tokens/batch", BEST, 1.25, bound=_COPY),
    Goal("images written until on disk", "images/write", "bagz", 1.5, bound=_WRITE),
    Goal("arrays written until on disk", "arrays/write", BEST, 1.0, bound=_WRITE),
    Goal("tokens written until on disk", "tokens/write", BEST, 1.0, bound=_WRITE),
    Goal("4 KB blobs written until on disk", "blobs/write", BEST, 1.0, bound=_WRITE),
    Goal(
        "append, visible and kill-safe on return",
        "small/append",
        RATE,
        1e6,
        bound="One call of the system a record; the limit's row is that call alone.",
    ),
    Goal(
        "append, beside what MDS buffers",
        "small/commit",
        "mds",
        3.0,
        bound="One call of the system a record, where MDS writes a shard when it is full.",
    ),
    Goal(
        "extend of rows",
        "small/extend",
        "lmdb",
        2.2,
        bound=(
            "Four times the bytes of the values go to the disk: frames, and the index's rows. Pages of the cache as in the "
            "row of images."
        ),
    ),
    Goal(
        "whole columns",
        "small/columns",
        "h5py",
        0.15,
        bound=(
            "h5py writes 12 bytes a record as they are. Here a record takes a frame with its own checksum and an "
            "entry, 48 bytes together: where the disk is the bound, that alone allows no more than a quarter."
        ),
    ),
    Goal(
        "cold disk, 4 KB, beside 32 threads of pread",
        "blobs/cold",
        LIMIT,
        2.0,
        bound="The disk: all reads of a batch are asked for at once.",
    ),
    Goal(
        "cold disk, 110 KB, beside 32 threads of pread",
        "images/cold",
        LIMIT,
        0.95,
        bound="The disk, and the page faults after the kernel's reading ahead.",
    ),
)
CHECK = 0.9  # of a bare checksum pass over the same file
CHECK_BOUND = "The checksum over every byte, and the system's copy of the file into a buffer."


def rates(rounds: list[dict[str, Any]], again: bool = False) -> list[float]:
    """Records a second of each round."""
    stretches = [r["again"] for r in rounds if "again" in r] if again else rounds
    return [r["records"] / r["seconds"] for r in stretches if r["seconds"]]


def medians(results: dict[str, Any], key: str, again: bool = False) -> dict[str, float]:
    """Each peer's median rate, by its name."""
    answers = results["reads"].get(key) or results["writes"].get(key) or {}
    found = {name: rates(rounds, again) for name, rounds in answers.items()}
    return {name: statistics.median(values) for name, values in found.items() if values}


def best_of(found: dict[str, float]) -> str | None:
    """The fastest peer: neither ours, nor what is no format."""
    peers = [name for name in found if PEERS[name].environment != "ours"]
    return max(peers, key=found.get, default=None)


def measured(goal: Goal, results: dict[str, Any], again: bool = False) -> float | None:
    """The ratio, or the rate, that a run has found; None if it did not ask."""
    found = medians(results, goal.question, again)
    if goal.ours not in found:
        return None
    if goal.against == RATE:
        return found[goal.ours]
    other = best_of(found) if goal.against == BEST else goal.against
    return found[goal.ours] / found[other] if other in found else None


def check_ratio(results: dict[str, Any]) -> float | None:
    """How fast `check()` is beside a bare checksum, the median of the rounds; None if it was not measured."""
    if "check" not in results:
        return None
    pairs = zip(results["check"]["check"], results["check"]["bare"], strict=True)
    return statistics.median(bare[0] / check[0] for check, bare in pairs)
