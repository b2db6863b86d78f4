"""The pictures and tables of docs/performance.md, from what growth.py has measured.

    python benchmarks/growth_chart.py [growth.json]

Writes docs/img/growth-records.svg and growth-sizes.svg, and the tables between the marks of the page. The pictures
have a background of their own, and darker colours on it where the reader prefers these.
"""

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
MARKS = ("<!-- growth: written by benchmarks/growth_chart.py -->\n", "<!-- /growth -->\n")
WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 960, 300, 52, 104, 40, 44
COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6", "c7")
STYLE = """\
<style>
text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 11px; fill: #334155; }
.paper { fill: #ffffff; } .title { font-size: 14px; font-weight: 600; fill: #0f172a; } .grid { stroke: #e2e8f0; }
path { fill: none; stroke-width: 2; stroke-linejoin: round; }
.c1 { stroke: #c2410c; } .c2 { stroke: #1d4ed8; } .c3 { stroke: #15803d; } .c4 { stroke: #7e22ce; }
.c5 { stroke: #0e7490; } .c6 { stroke: #a16207; } .c7 { stroke: #be185d; }
text.c1 { stroke: none; fill: #c2410c; } text.c2 { stroke: none; fill: #1d4ed8; } text.c3 { stroke: none; fill: #15803d; }
text.c4 { stroke: none; fill: #7e22ce; } text.c5 { stroke: none; fill: #0e7490; } text.c6 { stroke: none; fill: #a16207; }
text.c7 { stroke: none; fill: #be185d; }
@media (prefers-color-scheme: dark) {
text { fill: #cbd5e1; } .paper { fill: #0f172a; } .title { fill: #f1f5f9; } .grid { stroke: #334155; }
.c1 { stroke: #fb923c; } .c2 { stroke: #93c5fd; } .c3 { stroke: #86efac; } .c4 { stroke: #d8b4fe; }
.c5 { stroke: #67e8f9; } .c6 { stroke: #fde047; } .c7 { stroke: #f9a8d4; }
text.c1 { fill: #fb923c; } text.c2 { fill: #93c5fd; } text.c3 { fill: #86efac; } text.c4 { fill: #d8b4fe; }
text.c5 { fill: #67e8f9; } text.c6 { fill: #fde047; } text.c7 { fill: #f9a8d4; }
}
</style>"""


@dataclass
class Line:
    """One line of a panel: where it goes through, in the units of the axes."""

    name: str
    sizes: Sequence[float]
    values: Sequence[float]


@dataclass
class Panel:
    """One diagram, both of whose axes are logarithmic."""

    title: str
    below: str
    lines: list[Line]

    def range_of(self, values: list[float]) -> tuple[int, int]:
        """The powers of ten around some values."""
        low = math.floor(math.log10(min(values)) + 1e-9)
        return low, max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))


def draw(panels: list[Panel]) -> str:
    """The SVG's text: two panels in a row."""
    height = PANEL * -(-len(panels) // 2)
    size = f'width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}">',
        STYLE,
        f'<rect class="paper" {size}/>',
    ]
    for number, panel in enumerate(panels):
        x, y = WIDTH // 2 * (number % 2), PANEL * (number // 2)
        lines += [f'<g transform="translate({x} {y})">', *_panel(panel), "</g>"]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel) -> list[str]:
    across = panel.range_of([size for line in panel.lines for size in line.sizes])
    up = panel.range_of([value for line in panel.lines for value in line.values])
    right, bottom = WIDTH // 2 - RIGHT, PANEL - BOTTOM

    def x_of(size: float) -> float:
        return LEFT + (right - LEFT) * (math.log10(size) - across[0]) / (across[1] - across[0])

    def y_of(value: float) -> float:
        return bottom - (bottom - TOP) * (math.log10(value) - up[0]) / (up[1] - up[0])

    lines = [_text(LEFT - 36, 22, panel.title, "title")]
    for power in range(up[0], up[1] + 1):
        y = y_of(10.0**power)
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        lines.append(_text(LEFT - 6, y + 4, _number(10.0**power), anchor="end"))
    for power in range(across[0], across[1] + 1):
        x = x_of(10.0**power)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(_text(x, bottom + 16, _number(10.0**power), anchor="middle"))
    lines.append(_text((LEFT + right) / 2, bottom + 34, panel.below, anchor="middle"))
    names = []
    for line, colour in zip(panel.lines, COLOURS, strict=False):
        points = zip(line.sizes, line.values, strict=True)
        steps = [f"{x_of(size):.1f},{y_of(value):.1f}" for size, value in points]
        lines.append(f'<path class="{colour}" d="M{" L".join(steps)}"/>')
        names.append((y_of(line.values[-1]), line.name, colour))
    return lines + _names(sorted(names), right + 6, bottom)


def _names(names: list[tuple[float, str, str]], x: float, bottom: float) -> list[str]:
    """The lines' names where they end, moved apart where they would cover each other."""
    places = []
    for y, _, _ in names:
        places.append(max(y, places[-1] + 13) if places else y)
    over = max(0.0, places[-1] - bottom)
    return [
        _text(x, y - over + 4, name, colour)
        for y, (_, name, colour) in zip(places, names, strict=True)
    ]


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _number(value: float) -> str:
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


class Figures:
    """What growth.py has measured, on the first file system of each axis."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.axes = found["axes"]
        self.machine = found["machine"]

    def has(self, axis: str) -> bool:
        """Whether an axis was measured."""
        return axis in self.axes

    def of(self, axis: str, place: int = 0) -> dict[str, Any]:
        """An axis, on a file system."""
        return list(self.axes[axis].values())[place]

    def lines(self, axis: str, operations: dict[str, str]) -> list[Line]:
        """The costs of some operations, by the names that a picture gives them."""
        found = self.of(axis)
        return [
            Line(name, found["sizes"], found["costs"][operation])
            for operation, name in operations.items()
        ]

    def memory(self, axis: str, kind: str, operations: dict[str, str]) -> list[Line]:
        """Megabytes that operations leave in use."""
        found = self.of(axis)["memory"]
        lines = []
        for operation, name in operations.items():
            sizes = [int(size) for size in found[operation]]
            values = [max(used[kind] / 1e6, 0.1) for used in found[operation].values()]
            lines.append(Line(name, sizes, values))
        return lines


SINGLE = {"get": "ds[i]", "first": "batch, first", "batch": "batch, again", "iterate": "loop"}
READING = {**SINGLE, "column": "column, first"}
WRITING = {"append": "append", "extend": "extend of 256", "label": "edit", "delete": "delete"}
OPENING = {"open": "open", "view": "view", "shuffle": "shuffle"}
MEMORY = {"open": "open", "batch": "batches", "column": "column", "label": "edit"}
SIZES = {"get": "ds[i]", "batch": "batch", "first": "batch, first", "append": "append"}


def pictures(figures: Figures) -> dict[str, str]:
    """The SVGs, by the names of their files."""
    records = "rows" if figures.has("rows") else "records"
    grown = [
        Panel("Reading: µs a record", "records", figures.lines(records, READING)),
        Panel("Writing: µs a call, a record", "records", figures.lines(records, WRITING)),
        Panel("Opening, views: µs a call", "records", figures.lines(records, OPENING)),
        Panel("Memory, no file's: MB", "records", figures.memory(records, "own", MEMORY)),
    ]
    many = [*figures.lines("threads", {"threads": "threads"})]
    many += figures.lines("forks", {"forks": "processes"})
    batches = {"batch": "batch", "extend": "extend"}
    swept = [
        Panel("Samples of a batch: µs a record", "samples", figures.lines("batch", batches)),
        Panel("Bytes of a head: µs a record", "bytes", figures.lines("head", SIZES)),
        Panel("Fields of numbers: µs a record", "fields", figures.lines("numbers", SIZES)),
        Panel("Payload fields: µs a record", "fields", figures.lines("payloads", SIZES)),
        Panel("Bytes of a payload: µs a record", "bytes", figures.lines("size", SIZES)),
        Panel("Readers at once: µs a record", "threads, processes", many),
    ]
    return {"growth-records.svg": draw(grown), "growth-sizes.svg": draw(swept)}


WORDS = {
    "open": "open",
    "get": "a sample, at random",
    "batch": "… of a batch of 256, again",
    "first": "… for the first time",
    "iterate": "… of a loop",
    "column": "… of a column, opened anew",
    "view": "a view by a slice, and a sample of it",
    "shuffle": "a shuffle, and a sample of it",
    "append": "`append`",
    "extend": "`extend` of 256, a record",
    "recent": "`append`, and reading it with `copy=False`",
    "label": "a new label, in an open dataset",
    "beside view": "… while a view is kept",
    "delete": "`del ds[3]`",
    "one label": "a new label: open, change, close",
}


def tables(figures: Figures) -> str:
    """The page's tables."""
    machine = figures.machine
    parts = [f"Measured on {machine.get('processor', '?')}, {machine['cores']} cores."]
    names = {
        "records": "records of two int64 and 24 bytes",
        "rows": "records of two int64",
    }
    for axis, words in names.items():
        if figures.has(axis):
            found = figures.of(axis)
            wanted = [size for size in found["sizes"] if f"{size}".strip("0") == "1"]
            parts.append(table(words, found, wanted, WORDS))
            parts.append(memory_table(f"MB in no file, {words}", found))
    sizes = [1, 2, 8, 64, 512, 4096, 32768, 65536]
    batches = {"batch": "read, µs a record", "extend": "`extend`, µs a record"}
    parts.append(table("samples of a batch", figures.of("batch"), sizes, batches))
    few = {name: WORDS[name] for name in ("get", "batch", "first", "append", "extend")}
    for axis, words in (("numbers", "fields of int64"), ("payloads", "fields of 24 bytes")):
        found = figures.of(axis)
        wanted = [size for size in found["sizes"] if f"{size}".strip("0") == "1"]
        parts.append(table(words, found, wanted, few))
    return "\n\n".join(parts)


def table(words: str, found: dict[str, Any], sizes: list[int], names: dict[str, str]) -> str:
    """One table: sizes across, operations down."""
    columns = [found["sizes"].index(size) for size in sizes if size in found["sizes"]]
    header = [words, *(f"{found['sizes'][k]:,}" for k in columns)]
    rows = [
        [name, *(_cost(found["costs"][operation][k]) for k in columns)]
        for operation, name in names.items()
        if operation in found["costs"]
    ]
    return _markdown(header, rows)


def memory_table(words: str, found: dict[str, Any]) -> str:
    """What operations leave in use that belongs to no file."""
    chosen = ("open", "batch", "iterate", "column", "append", "label", "delete")
    sizes = list(found["memory"]["open"])
    header = [words, *(f"{int(size):,}" for size in sizes)]
    rows = []
    for name in chosen:
        used = found["memory"][name]
        cells = [f"{used[size]['own'] / 1e6:.1f}" for size in sizes]
        rows.append([WORDS[name].removeprefix("… ").removesuffix(", again"), *cells])
    return _markdown(header, rows)


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    under = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, under, *rows))


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def fill(page: str, text: str) -> str:
    """The page, with the text between its marks."""
    begin, end = MARKS
    between = re.escape(begin) + ".*?" + re.escape(end)
    whole = f"{begin}\n{text}\n\n{end}"
    return re.sub(between, lambda _: whole, page, count=1, flags=re.DOTALL)


def main() -> None:
    """Write the pictures and the tables."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "growth.json"
    figures = Figures(json.loads(source.read_text(encoding="utf-8")))
    for name, text in pictures(figures).items():
        (DOCS / "img" / name).write_text(text, encoding="utf-8")
    page = DOCS / "performance.md"
    filled = fill(page.read_text(encoding="utf-8"), tables(figures))
    page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
