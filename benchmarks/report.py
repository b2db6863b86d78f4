"""From results.json to tables: the page RESULTS.md, and the same tables for the terminal."""

import ast
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import goals
from goals import GOALS, LIMIT, OURS, RATE, best_of, check_ratio, measured, medians, rates
from questions import READS, WRITES, Read, Write
from workloads import WORKLOADS

MEMMAP = "memmap"
NO_FORMATS = (MEMMAP, LIMIT)
TUPLES = {"small/get": "ours_tuples", "small/scan": "ours_tuples", "strings/get": "ours_tuples"}

BIAS = """\
**Our bias.** We wrote DSRecords, chose the questions, and know our own library better than the others. We looked for
each peer's fastest honest configuration (at the end, from the adapters' own words) and let it keep what it is good at:
LMDB's views, HDF5's and Lance's whole columns, Parquet's columns, a stream's scans. Other questions, machines and
experts may tell another story. The checks of DSRecords are on; most peers check nothing. All values are compared with
what was stored before anything is timed. Everything needed to contradict us is in this folder:
`python benchmarks/run.py`."""

GOALS_INTRO = """\
What was aimed at when the compiled part was begun: ratios of rates in one run, all checks of DSRecords on. *First* is
records that no question has read in that process, *again* the same records once more. **Bold** is met. That the pure
form is not slower than it was is measured apart, with `DSRECORDS_NATIVE=0`, by `before_after.py`."""

SUMMARY = """\
Records a second, and in brackets microseconds of processor time a record (of all threads), beside the fastest peer and
the fastest that knows fields and types (of the others, marked *bytes* below, the user packs and unpacks records), and
beside what this machine can do at all. Ratios are of rates: above 1, DSRecords is faster. Writing is until on disk."""

METHOD = """\
Rates are records a second, the median of {rounds} interleaved rounds (writing: {write_rounds} of small records and
images, else one; cold: {cold_rounds}). `results.json` has every round, with page faults and memory;
`python benchmarks/run.py --report` prints them as tables. A round asks every peer in turn, each in a fresh process
under its own environment, so that a machine that slows down slows all. In one process no record is read by two
questions; each question opens the dataset anew, makes one call untimed (not where the disk is cold), and then reads
for at most {budget} s (cold: {cold_budget} s). *Again* asks the same records once more of the same open reader; for
DSRecords their checksums were verified the first time. Warm files were read through once before the process asked
(they lie in the page cache); cold files were forgotten by the system with `posix_fadvise(DONTNEED)` right before the
dataset was opened, and `mincore` says how much of them was still in memory.

A cold question reads few of the records: it is the beginning of an epoch, and its time begins with opening the
dataset, since some readers touch much of the file there. A reader that maps the file without advice makes the system
read ahead around each record (the machine's `read-ahead` above); of a file that is small beside that, or over a whole
epoch, it finds much already there.

Writing ends when the files are on the disk: what a peer has not synced itself is synced with `fsync` after it closes,
within the measured time. Every process first frees one block of 31 MiB, as any training process has: from then on the
C library reuses large blocks instead of returning them to the system, and a peer's rate does not hang on what its
import happened to free. *Limit* is no format: values that already lie in this process's memory, decoded or copied in
the barest way; for cold disks, 32 threads of `pread`; for writing, whole pieces, or one call of the system a record."""


@dataclass(frozen=True)
class Matrix:
    """A table of the page: a row for each peer, a column for each question."""

    title: str
    words: str
    columns: tuple[tuple[str, str], ...]  # the column's title, and the question's key


MATRICES = (
    Matrix(
        "Single records",
        "One random record a call, decoded, `ds[i]`: first / again. As dicts (**DSRecords**) and as tuples.",
        (("three numbers", "small/get"), ("a string and a label", "strings/get")),
    ),
    Matrix(
        "Batches of small records",
        "Random batches as columns, first / again. Texts have 1.5 KB, as those that ArrayRecord is measured with; taking "
        "20 to 50 of them is Lance's own benchmark.",
        (
            ("256 × three numbers", "small/batch"),
            ("256 texts", "texts/batch"),
            ("20 to 50 texts", "texts/take"),
        ),
    ),
    Matrix(
        "Batches of large records",
        "Random batches of 64, first / again: images of 110 KB with a label, as bytes of one's own or as views; arrays of "
        "48 KB and tokens of 8 KB stacked in a new array, or in one that is used again.",
        (
            ("images", "images/batch"),
            ("images, views", "images/view"),
            ("arrays", "arrays/batch"),
            ("arrays, reused", "arrays/into"),
            ("tokens", "tokens/batch"),
            ("tokens, reused", "tokens/into"),
        ),
    ),
    Matrix(
        "Everything in order",
        "All records one by one, and the label of each image as one array (first / again).",
        (
            ("three numbers", "small/scan"),
            ("images", "images/scan"),
            ("labels of images", "images/column"),
        ),
    ),
    Matrix(
        "From a cold disk",
        "Opening, and random batches: 64 × 4 KB, 20 to 50 × 1.5 KB, 64 × 110 KB; and the label of each image.",
        (
            ("4 KB", "blobs/cold"),
            ("texts", "texts/cold"),
            ("images", "images/cold"),
            ("labels of images", "images/cold-column"),
        ),
    ),
    Matrix(
        "Written until on disk",
        "Records a second until the files are on the disk, each peer by its fastest way; small records also as rows in one "
        "call.",
        (
            ("three numbers", "small/columns"),
            ("as rows", "small/extend"),
            ("strings", "strings/write"),
            ("texts", "texts/write"),
            ("images", "images/write"),
            ("arrays", "arrays/write"),
            ("tokens", "tokens/write"),
            ("4 KB", "blobs/write"),
        ),
    ),
    Matrix(
        "One call a record",
        "Three numbers a call, then a sync. *On return*: each record is visible to other processes, and survives a kill of "
        "the writer, when the call returns. *At commit*: all of them when the writer commits or closes; what it was killed "
        "before is lost.",
        (("on return", "small/append"), ("at commit", "small/commit")),
    ),
)


def page(results: dict[str, Any], aimed: dict[str, Any] | None = None) -> str:
    """RESULTS.md.

    Args:
        results: of a run of all peers.
        aimed: of another run, of the peers of the aims alone; None: there is none.
    """
    settings = results["settings"]
    counts = ", ".join(f"{name} {count:,}" for name, count in settings["counts"].items())
    machine = ", ".join(f"{name}: {value}" for name, value in results["machine"].items())
    kind = "Quick run: datasets too small to quote" if results["quick"] else "Full run"
    parts = [
        "# Benchmarks",
        BIAS,
        "![The same results as bars](results.svg)",
        f"{kind}, {results['date'][:10]}. Machine: {machine}. Records stored: {counts}.",
        *results.get("notes", ()),
        "## What was aimed at, and what came of it",
        GOALS_INTRO,
        _where(aimed),
        aims(results, aimed),
        "## Summary",
        SUMMARY,
        summary(results),
        *(matrix(results, one) for one in MATRICES),
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
    return "\n\n".join(part for part in parts if part) + "\n"


def _where(aimed: dict[str, Any] | None) -> str:
    """What is to be said of the last columns."""
    if aimed is None:
        return ""
    machine = aimed["machine"]
    return (
        f"The last two columns are of another run, of {aimed['date'][:10]}: {aimed['settings']['rounds']} rounds of peers "
        f"that the aims name, on {machine['cores']} cores of {machine['processor']}, {machine['memory']} of memory, "
        f"{machine['filesystem']}, Python {machine['python']}. " + " ".join(aimed.get("notes", ()))
    )


def aims(results: dict[str, Any], elsewhere: dict[str, Any] | None) -> str:
    """Every goal beside what was measured, then the reasons of those that were missed."""
    runs = [results] if elsewhere is None else [results, elsewhere]
    rows = [["what", "beside", "goal", "first", "again"]]
    if elsewhere is not None:
        rows[0] += ["first, other run", "again, other run"]
    missed = []
    for goal in GOALS:
        first, again = measured(goal, results), measured(goal, results, again=True)
        if first is None:
            continue
        unit = number if goal.against == RATE else _times
        goal_again = f" / {unit(goal.again)}" if goal.again else ""
        row = [goal.title, _against(goal, results), f"{unit(goal.first)}{goal_again}"]
        for run in runs:
            row.append(_met(measured(goal, run), goal.first, unit))
            row.append(_met(measured(goal, run, again=True), goal.again, unit))
        rows.append(row)
        if first < goal.first or (again is not None and again < goal.again):
            missed.append((goal.bound, goal.title))
    found = check_ratio(results)
    if found is not None:
        title = f"`check()` of {results['check']['bytes'] / 1e9:.1f} GB"
        row = [title, "a bare checksum", _times(goals.CHECK)]
        for run in runs:
            row += [_met(check_ratio(run), goals.CHECK), "–"]
        rows.append(row)
        if found < goals.CHECK:
            missed.append((goals.CHECK_BOUND, title))
    return "\n\n".join([_table(rows), _reasons(missed)])


def _met(value: float | None, goal: float, unit: Any = None) -> str:
    """A figure; bold if it is what was aimed at."""
    if value is None:
        return "–"
    text = (unit or _times)(value)
    return f"**{text}**" if goal and value >= goal else text


def _times(value: float) -> str:
    return f"{ratio(value)} ×"


def _against(goal: goals.Goal, results: dict[str, Any]) -> str:
    if goal.against == RATE:
        return "records/s"
    name = goal.against
    if name == goals.BEST:
        name = best_of(medians(results, goal.question))
        return f"the best: {results['peers'][name]['title']}"
    return results["peers"][name]["title"]


def _reasons(missed: list[tuple[str, str]]) -> str:
    """One line a reason, with all rows that it holds for."""
    if not missed:
        return "All are met."
    rows: dict[str, list[str]] = {}
    for bound, title in missed:
        rows.setdefault(bound, []).append(title)
    lines = [f"- *{'; '.join(titles)}*: {bound}" for bound, titles in rows.items()]
    return "Of those that were missed, what bounds them:\n\n" + "\n".join(lines)


def matrix(results: dict[str, Any], asked: Matrix) -> str:
    """A table: peers by questions; the fastest format of each question is bold."""
    questions = {question.key: question for question in (*READS, *WRITES)}
    columns = [(title, key) for title, key in asked.columns if medians(results, key)]
    if not columns:
        return ""
    first = {key: medians(results, key) for _, key in columns}
    again = {key: medians(results, key, again=True) for _, key in columns}
    rows = [["", *(title for title, _ in columns)]]
    for name in results["peers"]:
        if not any(name in first[key] for _, key in columns):
            continue
        cells = []
        for _, key in columns:
            bold = name == fastest(first[key])
            cell = _rates(first[key], again[key], name, getattr(questions[key], "again", False))
            cells.append(f"**{cell}**" if bold else cell)
        rows.append([_title(results, name), *cells])
    return f"## {asked.title}\n\n{asked.words} In bold the fastest format.\n\n{_table(rows)}"


def fastest(found: dict[str, float]) -> str | None:
    """The fastest format, ours among them."""
    formats = [name for name in found if name not in NO_FORMATS]
    return max(formats, key=found.get, default=None)


def _rates(first: dict[str, float], again: dict[str, float], name: str, twice: bool) -> str:
    if name not in first:
        return "–"
    if not twice:
        return number(first[name])
    return f"{number(first[name])} / {number(again[name])}"


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


def summary(results: dict[str, Any]) -> str:
    """One line a question: ours, the best peer, the limit."""
    rows = [["question", "DSRecords", "best peer", "ratio", "best typed peer", "ratio", "to limit"]]
    for question in (*READS, *WRITES):
        for again in (False, True) if getattr(question, "again", False) else (False,):
            found = medians(results, question.key, again)
            forms = (OURS, TUPLES.get(question.key))
            rows += [
                _summary_row(results, question, again, form) for form in forms if form in found
            ]
    return _table(rows)


def _summary_row(
    results: dict[str, Any], question: Read | Write, again: bool, ours: str
) -> list[str]:
    found = medians(results, question.key, again)
    spent = cpus(results, question.key, again)
    shape = "" if question.key not in TUPLES else ", tuples" if ours != OURS else ", dicts"
    row = [f"`{question.key}`{shape}{', again' if again else ''}", _cost(found, spent, ours)]
    typed = {name: rate for name, rate in found.items() if results["peers"][name]["typed"]}
    for best in (best_of(found), best_of(typed)):
        if best is None:
            row += ["–", "–"]
            continue
        row.append(f"{results['peers'][best]['title']} {_cost(found, spent, best)}")
        row.append(_times(found[ours] / found[best]))
    limit = found.get(LIMIT)
    return [*row, _times(found[ours] / limit) if limit else "–"]


def _cost(found: dict[str, float], spent: dict[str, float], name: str) -> str:
    spent_on_one = spent[name]
    digits = f"{spent_on_one:,.0f}" if spent_on_one >= 100 else f"{spent_on_one:.2g}"
    return f"{number(found[name])} ({digits} µs)"


def cpus(results: dict[str, Any], key: str, again: bool = False) -> dict[str, float]:
    """Each peer's microseconds of processor time a record, the median."""
    answers = results["reads"].get(key) or results["writes"].get(key) or {}
    found = {}
    for name, rounds in answers.items():
        stretches = [r["again"] for r in rounds if "again" in r] if again else rounds
        found[name] = _median(stretches, lambda r: r["cpu"] * 1e6 / r["records"])
    return found


def _read_rows(results: dict[str, Any], question: Read) -> list[list[str]]:
    answers = results["reads"][question.key]
    found = medians(results, question.key)
    header = ["peer", "records/s", "DSRecords is"]
    header += ["again"] * question.again + ["CPU µs", "faults", "memory MB", "values"]
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
    found = medians(results, question.key)
    header = ["peer", "records/s until on disk", "DSRecords is", "MB/s"]
    rows = [[*header, "file / values", "CPU µs", "memory MB"]]
    for name in sorted(found, key=found.get, reverse=True):
        rounds = answers[name]
        rows.append(
            [
                _title(results, name),
                spread(rates(rounds)),
                _than(found, name),
                f"{_median(rounds, lambda r: r['payload'] / r['seconds'] / 1e6):,.0f}",
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
