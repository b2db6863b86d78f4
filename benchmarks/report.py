"""From results.json to tables: the page RESULTS.md, and the same tables for the terminal."""

import ast
import math
import statistics
from pathlib import Path
from typing import Any

from peers import PEERS
from questions import READS, WRITES, Read, Write
from workloads import WORKLOADS

OURS, MEMMAP, LIMIT = "ours", "memmap", "limit"

BIAS = """\
**Our bias.** We wrote DSRecords, we chose the questions, and we know our own library better than the others. We
looked for each peer's fastest honest configuration (listed below, from the adapters' own words) and let it keep what
it is good at: LMDB's views, HDF5's and Lance's whole columns, Parquet's columns, a stream's scans. But questions that
we did not ask, machines that we do not have, and experts of a peer may tell another story. The checks of DSRecords
are on; most peers check nothing. All values are compared with what was stored before anything is timed. Everything
needed to contradict us is in this folder: `python benchmarks/run.py`."""

SUMMARY = """\
DSRecords beside the fastest format of each question, beside the fastest that knows fields and types (in the tables, a
peer whose records the user packs and unpacks is marked *bytes*), beside bare `np.memmap`, and beside the physical
limit. Ratios above 1 say that DSRecords is faster."""

METHOD = """\
Rates are records a second, the median of {rounds} interleaved rounds and in brackets the slowest and the fastest
round (writing: {write_rounds}, cold: {cold_rounds}). A round asks every peer in turn, each in a fresh process under
its own environment, so that a machine that slows down slows all. In one process no record is read by two questions;
each question opens the dataset anew, makes one call untimed (not where the disk is cold), and then reads for at most
{budget} s (cold: {cold_budget} s). **Re-read** asks the same records again with the same open reader; for DSRecords
their checksums were verified the first time. Warm files were read through once before the process asked (they lie in
the page cache); cold files were forgotten by the system with `posix_fadvise(DONTNEED)` right before the dataset was
opened, and `mincore` says how much of them was still in memory.

A cold question reads few of the records: it is the beginning of an epoch, and its time begins with opening the
dataset, since some readers touch much of the file there. A reader that maps the file without advice makes the system
read ahead around each record (the machine's `read-ahead` above); of a file that is small beside that, or over a whole
epoch, it finds much already there.

*CPU* is microseconds of processor time a record, all threads. *Faults* are page faults a record. *Memory* is how far
resident memory grew at its peak, and in brackets what of it belonged to no file at the end: pages of a mapped file
count in the first and cost nothing when memory is short. *Values*: *owned*, or *views* that lean on the file or on a
buffer. Every process first frees one block of 31 MiB, as any training process has: from then on the C library reuses
large blocks instead of returning them to the system, and a peer's rate does not hang on what its import happened to
free. *Limit* is no format: values that already lie in this process's memory, decoded or copied in the barest way; for
cold disks, 32 threads of `pread`."""


def page(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    settings = results["settings"]
    counts = ", ".join(f"{name} {count:,}" for name, count in settings["counts"].items())
    machine = ", ".join(f"{name}: {value}" for name, value in results["machine"].items())
    kind = "Quick run: datasets too small to quote" if results["quick"] else "Full run"
    parts = [
        "# Benchmarks",
        BIAS,
        "![The same results as bars](results.svg)",
        f"{kind}, {results['date'][:10]}. Machine: {machine}. Records stored: {counts}.",
        "## Summary",
        SUMMARY,
        summary(results),
        tables(results, heading="## "),
        "## How it is measured",
        METHOD.format(**settings),
        "## The peers and their configurations",
        configurations(results),
    ]
    if results["problems"]:
        parts += [
            "## What did not work",
            "\n".join(f"- {problem}" for problem in results["problems"]),
        ]
    return "\n\n".join(parts) + "\n"


def tables(results: dict[str, Any], heading: str = "") -> str:
    """Every question's table, by workload."""
    parts = []
    for workload in WORKLOADS.values():
        asked = [question for question in (*READS, *WRITES) if question.workload == workload.name]
        answered = [q for q in asked if q.key in results["reads"] or q.key in results["writes"]]
        if not answered:
            continue
        parts.append(f"{heading}{workload.title}")
        for question in answered:
            rows = (
                _write_rows(results, question)
                if isinstance(question, Write)
                else _read_rows(results, question)
            )
            what = "Writing" if isinstance(question, Write) else "Reading"
            parts.append(f"**{what}: {question.title}** (`{question.key}`)\n\n{_table(rows)}")
    return "\n\n".join(parts)


def rates(rounds: list[dict[str, Any]], again: bool = False) -> list[float]:
    """Records a second of each round."""
    stretches = [r["again"] for r in rounds if "again" in r] if again else rounds
    return [r["records"] / r["seconds"] for r in stretches if r["seconds"]]


def medians(
    results: dict[str, Any], question: Read | Write, again: bool = False
) -> dict[str, float]:
    """Each peer's median rate."""
    kind = "writes" if isinstance(question, Write) else "reads"
    found = {
        name: rates(rounds, again) for name, rounds in results[kind].get(question.key, {}).items()
    }
    return {name: statistics.median(values) for name, values in found.items() if values}


def summary(results: dict[str, Any]) -> str:
    """One line a question: ours, the best peer, the limit."""
    rows = [
        [
            "question",
            "DSRecords",
            "best peer",
            "ratio",
            "best typed peer",
            "ratio",
            "to np.memmap",
            "to the limit",
        ]
    ]
    for question in (*READS, *WRITES):
        for again in (False, True) if getattr(question, "again", False) else (False,):
            found = medians(results, question, again)
            if OURS in found:
                rows.append(
                    _summary_row(results, f"`{question.key}`{', re-read' if again else ''}", found)
                )
    return _table(rows)


def _summary_row(results: dict[str, Any], name: str, found: dict[str, float]) -> list[str]:
    ours = found[OURS]
    peers = {peer for peer in found if PEERS[peer].environment != OURS}
    row = [name, number(ours)]
    for candidates in (peers, {peer for peer in peers if results["peers"][peer]["typed"]}):
        best = max(candidates, key=found.get, default=None)
        if best:
            row += [
                f"{results['peers'][best]['title']} {number(found[best])}",
                f"{ratio(ours / found[best])} ×",
            ]
        else:
            row += ["–", "–"]
    return row + [
        f"{ratio(ours / found[peer])} ×" if peer in found else "–" for peer in (MEMMAP, LIMIT)
    ]


def _read_rows(results: dict[str, Any], question: Read) -> list[list[str]]:
    answers = results["reads"][question.key]
    found = medians(results, question)
    header = ["peer", "records/s", "DSRecords is"]
    header += ["re-read"] * question.again + ["CPU µs", "faults", "memory MB", "values"]
    header += ["opened in", "still in memory"] * question.cold
    rows = [header]
    for name in sorted(found, key=found.get, reverse=True):
        rounds = answers[name]
        cells = [_title(results, name), spread(rates(rounds)), _than(found, name)]
        if question.again:
            cells.append(spread(rates(rounds, again=True)))
        cells += [
            f"{_median(rounds, lambda r: r['cpu'] * 1e6 / r['records']):.3g}",
            f"{_median(rounds, lambda r: r['faults'] / r['records']):.2f}",
            f"{_median(rounds, lambda r: r['peak'] / 1e6):.0f} ({_median(rounds, lambda r: r['own'] / 1e6):.0f})",
            "views" if rounds[0]["views"] else "owned",
        ]
        if question.cold:
            cells.append(f"{_median(rounds, lambda r: r['opened'] * 1e3):.0f} ms")
            cells.append(f"{100 * _median(rounds, lambda r: r['resident']):.0f} %")
        rows.append(cells)
    return rows


def _write_rows(results: dict[str, Any], question: Write) -> list[list[str]]:
    answers = results["writes"][question.key]
    found = medians(results, question)
    header = ["peer", "records/s", "DSRecords is", "MB/s", "records/s until on disk"]
    rows = [[*header, "file / values", "CPU µs", "memory MB"]]
    for name in sorted(found, key=found.get, reverse=True):
        rounds = answers[name]
        rows.append(
            [
                _title(results, name) + (" (syncs)" if results["peers"][name]["syncs"] else ""),
                spread(rates(rounds)),
                _than(found, name),
                f"{_median(rounds, lambda r: r['payload'] / r['seconds'] / 1e6):,.0f}",
                number(_median(rounds, lambda r: r["records"] / r["synced"])),
                f"{_median(rounds, lambda r: r['size'] / r['payload']):.2f}",
                f"{_median(rounds, lambda r: r['cpu'] * 1e6 / r['records']):.3g}",
                f"{_median(rounds, lambda r: r['peak'] / 1e6):.0f}",
            ]
        )
    return rows


def configurations(results: dict[str, Any]) -> str:
    """Each peer's versions and the words of its adapter."""
    parts = []
    for name, facts in results["peers"].items():
        source = (Path(__file__).parent / "peers" / f"{name}.py").read_text()
        words = " ".join(ast.get_docstring(ast.parse(source)).split())
        versions = ", ".join(f"{module} {version}" for module, version in facts["versions"].items())
        imports = f"imported in {min(facts['imports']) * 1e3:,.0f} ms" if facts["imports"] else ""
        parts.append(f"- **{facts['title']}** ({versions}; {imports}). {words}")
    return "\n".join(parts)


def number(value: float) -> str:
    """A rate in three digits: 1.23 M, 45.6 k, 789."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{_three(value / size)}{letter}"
    return _three(value)


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float) -> str:
    """A ratio in two or three digits."""
    return _three(value) if value >= 1 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def spread(values: list[float]) -> str:
    """The median, and the slowest and fastest round."""
    if not values:
        return "–"
    middle = number(statistics.median(values))
    return (
        f"{middle} ({number(min(values))} – {number(max(values))})" if len(values) > 1 else middle
    )


def _than(found: dict[str, float], name: str) -> str:
    return "" if name == OURS or OURS not in found else f"{ratio(found[OURS] / found[name])} ×"


def _median(rounds: list[dict[str, Any]], value: Any) -> float:
    found = [value(r) for r in rounds if r["records"]]
    return statistics.median(found) if found else math.nan


def _title(results: dict[str, Any], name: str) -> str:
    facts = results["peers"][name]
    if name == OURS:
        return f"**{facts['title']}**"
    return facts["title"] if facts["typed"] or name == LIMIT else f"{facts['title']} (bytes)"


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
