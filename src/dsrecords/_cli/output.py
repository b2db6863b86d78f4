"""What a command prints: lines, tables and JSON, to a terminal or a pipe."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from dsrecords._cli.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def echo(line: str = "") -> None:
    """Print a line."""
    click.echo(printable(line))


def note(line: str) -> None:
    """Say something that is no result, on the error stream."""
    click.echo(one_line(line), err=True)


def write_json(data: Any) -> None:
    """Print JSON in ASCII, with NaN and infinities as strings."""
    text = json.dumps(_finite(data), indent=2, default=str)
    click.echo(text)


def _finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def console() -> Console:
    """Return the terminal, or what stands for it."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Output(file=sys.stdout, highlight=False, soft_wrap=False)


_NARROWEST = 4  # characters of a column
_BETWEEN = 3  # characters between two columns


class Sheet:
    """A table that is being filled.

    Args:
        headings: of its columns.
        right: those of columns that are aligned at the right.
    """

    def __init__(self, headings: Sequence[str], right: Sequence[str] = ()) -> None:
        self._headings = [text(heading) for heading in headings]
        self._is_right = [heading in right for heading in headings]
        self._rows: list[Sequence[Text]] = []

    def add(self, row: Sequence[Text]) -> None:
        """Add a row."""
        self._rows.append(row)

    def print(self, with_headings: bool = True) -> None:
        """Print the table: to a terminal as wide as that is, to a pipe as wide as needed."""
        if not sys.stdout.isatty():
            self._print_plain(with_headings)
            return
        self.render_on(console(), with_headings)

    def render_on(self, screen: Console, with_headings: bool = True) -> None:
        """Print the table on a console of one's own."""
        screen.print(self._table(screen.width, with_headings))

    def _table(self, width: int, with_headings: bool) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        made = Table(
            box=SIMPLE_HEAD,
            pad_edge=False,
            header_style="bold",
            show_header=with_headings,
        )
        widths = self._fitting_widths(width)
        for number, heading in enumerate(self._headings):
            justify: Literal["left", "right"] = "left"
            if self._is_right[number]:
                justify = "right"
            made.add_column(
                heading,
                justify=justify,
                overflow="ellipsis",
                no_wrap=True,
                width=widths[number],
            )
        for row in self._rows:
            made.add_row(*row)
        return made

    def _widths(self) -> list[int]:
        """Return how wide each column is."""
        rows = [self._headings, *self._rows]
        return [max(map(_width, column)) for column in zip(*rows)]

    def _fitting_widths(self, width: int) -> list[int]:
        """Return how wide columns are that fit: the widest are made as narrow as needed."""
        widths = self._widths()
        room = width - _BETWEEN * len(widths)
        while sum(widths) > room:
            widest = widths.index(max(widths))
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
        return widths

    def _print_plain(self, with_headings: bool) -> None:
        rows = list(self._rows)
        if with_headings:
            rows.insert(0, self._headings)
        if not rows:
            return
        widths = self._widths()
        for row in rows:
            cells = []
            for cell, width, is_right in zip(row, widths, self._is_right):
                space = " " * (width - cell.cell_len)
                padded = f"{cell.plain}{space}"
                if is_right:
                    padded = f"{space}{cell.plain}"
                cells.append(padded)
            line = "  ".join(cells)
            click.echo(line.rstrip())


def _width(cell: Text) -> int:
    """Return how wide a cell is, which is a picture if it has several lines."""
    return max(line.cell_len for line in cell.split("\n", allow_blank=True))


def text(content: str, style: str = "") -> Text:
    """Return a text for a table: printable, and never taken for markup."""
    from rich.text import Text

    return Text(printable(content), style=style)


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and what is said of them, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        label = click.style(f"{name:<{width}}", bold=True)
        click.echo(f"{label}  {printable(value)}")
