"""The tables of LOADING.md, from what was measured."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .samples import ROWS, row_of

Result = dict[str, Any]
"""What one process measured."""

_INTRODUCTION = Path(__file__).parent / "about.md"
_DISTURBED = 0.05  # of all cores: from here on others disturbed the clock
_NOTHING = "–"
_COLUMNS = (
    "loader",
    "CPU µs a sample",
    "DSRecords is",
    "samples/s",
    "first batch",
    "memory",
    "cold: CPU µs",
    "cold: samples/s",
)


def cost(result: Result) -> float:
    """Microseconds of processor time a sample."""
    return result["cpu"] / result["count"] * 1e6


@dataclass
class Summary:
    """The rounds of one loader in one mode.

    Attributes:
        cpu: the median, in microseconds of processor time a sample.
        least, most: of the rounds.
        rate: samples a second on the clock, the median.
        disturbed: whether other processes took much of the machine.
        first: seconds to the first batch, the median.
        memory: bytes, the median.
    """

    cpu: float
    least: float
    most: float
    rate: float
    disturbed: bool
    first: float
    memory: float

    @classmethod
    def of(cls, rounds: list[Result]) -> "Summary":
        """Summarize these rounds."""
        costs = [cost(result) for result in rounds]
        others = [result["others"] for result in rounds]
        return cls(
            cpu=statistics.median(costs),
            least=min(costs),
            most=max(costs),
            rate=statistics.median(result["count"] / result["seconds"] for result in rounds),
            disturbed=statistics.median(others) > _DISTURBED,
            first=statistics.median(result["first"] for result in rounds),
            memory=statistics.median(result["memory"] for result in rounds),
        )

    def rate_in_words(self) -> str:
        """Samples a second, marked where the clock says little."""
        mark = "~" if self.disturbed else ""
        return f"{mark}{self.rate:,.0f}"


def summaries(measured: Result, mode: str) -> dict[str, Summary]:
    """By loader, for all that were measured in a mode; the cheapest first."""
    found = {}
    for name, peer in measured["peers"].items():
        rounds = peer["rounds"].get(mode)
        if rounds:
            found[name] = Summary.of(rounds)
    return dict(sorted(found.items(), key=lambda item: item[1].cpu))


def table(row: str, measured: Result) -> list[str]:
    """A row as Markdown."""
    warm = summaries(measured, "warm")
    cold = summaries(measured, "cold")
    lines = [f"\n### {row_of(row).title}\n", *_header(_COLUMNS)]
    for name in warm | cold:
        title = measured["peers"][name]["title"]
        if name == "ours":
            title = f"**{title}**"
        cells = [title, *_warm(warm.get(name), warm.get("ours")), *_cold(cold.get(name))]
        lines.append(_line(cells))
    return lines


def _warm(found: Summary | None, own: Summary | None) -> list[str]:
    if found is None:
        return [_NOTHING] * 5
    ratio = _NOTHING
    if own is not None:
        ratio = f"{found.cpu / own.cpu:.2f} ×"
    return [
        f"{found.cpu:,.1f} ({found.least:,.1f} – {found.most:,.1f})",
        ratio,
        found.rate_in_words(),
        f"{found.first * 1e3:,.0f} ms",
        f"{found.memory / 1e6:,.0f} MB",
    ]


def _cold(found: Summary | None) -> list[str]:
    if found is None:
        return [_NOTHING] * 2
    return [f"{found.cpu:,.1f}", found.rate_in_words()]


def _header(columns: tuple[str, ...]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns))]


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def page(results: dict[str, Result]) -> str:
    """LOADING.md."""
    measured = [name for name in ROWS if name in results]
    lines = [_INTRODUCTION.read_text().rstrip()]
    for name in measured:
        lines += table(name, results[name])
        lines.append(f"\n{_where(results[name]['machine'])}")
    if "own" in results:
        lines += _own(results["own"])
    if "sweep" in results:
        lines += _sweep(results["sweep"])
    lines.append(f"\nVersions: {_versions(results[name] for name in measured)}.")
    return "\n".join(lines) + "\n"


def _where(machine: Result) -> str:
    words = (
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, batches of "
        f"{machine['batch_size']}, {machine['workers']} threads or processes, rounds: "
        f"{machine['rounds']}."
    )
    if machine["share"] != 1:
        words += f" Only {machine['share']:.0%} of the samples."
    return words


def _versions(rows: Any) -> str:
    found = {}
    for row in rows:
        for peer in row["peers"].values():
            found.update(peer["versions"])
    return ", ".join(f"{module} {version}" for module, version in sorted(found.items()))


def _own(own: Result) -> list[str]:
    """The first batch, resuming, and memory."""
    lines = [
        f"\n### {own['records']:,} records of 12 bytes, shuffled, batches of 256\n",
        *_header(("from", "to", "processor time")),
        _line(["a path", "the dataset, opened", f"{own['open ms']} ms"]),
        _line(["`dsrecords`", "`dsrecords.Loader`, imported", f"{own['import ms']} ms"]),
        _line(["the dataset", "the first batch", f"{own['first batch ms']} ms"]),
    ]
    for share, spent in own["resumed ms"].items():
        start = f"a state at {float(share):.0%} of the epoch"
        lines.append(_line([start, "the next batch", f"{spent} ms"]))
    columns = ("loaded by", *(f"epoch {number}" for number in range(1, 11)))
    lines += ["\n### Memory after each epoch, in MB (PSS of all processes)\n", *_header(columns)]
    for kind, sizes in own["memory"].items():
        lines.append(_line([kind, *(f"{size:,.0f}" for size in sizes)]))
    lines.append(f"\n{_where(own['machine'])}")
    return lines


def _sweep(cases: list[Result]) -> list[str]:
    """How near to the ceiling sizes of images and batches come."""
    columns = ("row", "batch", "CPU µs", "ceiling: CPU µs", "of the ceiling")
    lines = ["\n### Sizes of images and of batches\n", *_header(columns)]
    return lines + [sweep_line(case) for case in cases]


def sweep_line(case: Result) -> str:
    """One size of images and of batches."""
    own = case["cpu"]
    ceiling = case["ceiling"]
    title = row_of(case["row"]).title
    share = f"{ceiling / own:.3f}"
    return _line([title, str(case["batch"]), f"{own:,.2f}", f"{ceiling:,.2f}", share])
