"""`dsrecords stats`: what the values of each field are like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dsrecords._cli.busy import is_shown
from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import (
    field_keys,
    fields_option,
    files_argument,
    json_option,
    on_error,
    open_dataset,
    skip_option,
    view_option,
)
from dsrecords._cli.output import Sheet, echo, facts, note, text, write_json
from dsrecords._stats.text import HEADINGS, cells, number, shown_value

if TYPE_CHECKING:
    from dsrecords._stats.distribution import Distribution
    from dsrecords._stats.field_stats import FieldStats

SECTION = LOOK
_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_RIGHT = ("None", "min", "mean", "max")


@click.command(cls=Command, short_help="ranges, counts, histograms")
@files_argument
@fields_option
@view_option
@click.option(
    "--bins",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Bins of a histogram, at most.",
)
@skip_option
@json_option
def command(
    paths: tuple[str, ...],
    fields: tuple[str, ...],
    view: str | None,
    bins: int,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Say what the values of each field are like: range, mean, lengths, None, counts, histogram.

    With --field, a field's histogram and its most frequent values have a line each. Numbers are
    read from the index, strings and arrays from the data; images are not decoded.
    """
    import dsrecords

    dataset = open_dataset(paths, view, on_error=on_error(skip_errors))
    keys = field_keys(dataset, fields)
    found = dsrecords.stats(dataset, keys or None, bins=bins, progress=is_shown())
    if as_json:
        write_json(found.to_dict())
    elif keys:
        for position, key in enumerate(keys):
            if position:
                echo()
            _print_field(found[key])
    else:
        _print_all(found.records, list(found.values()))
    if dataset.skipped:
        note(f"warning: {len(dataset.skipped):,} values could not be read and were left out")


def _print_all(records: int, found: list[FieldStats]) -> None:
    echo(f"{records:,} records")
    made = Sheet(HEADINGS, right=_RIGHT)
    for field in found:
        row = [text(content) for content in cells(field)]
        row[0].stylize("cyan")
        row[6].stylize("green")
        made.add(row)
    made.print()


def _print_field(field: FieldStats) -> None:
    lines = [("field", f"{field.name}, {field.type}"), ("records", f"{field.records:,}")]
    counts = (("None", field.nulls), ("NaN", field.nans), ("infinite", field.infinities))
    lines += [(name, f"{count:,}") for name, count in counts if count]
    if field.distinct is not None:
        lines.append(("distinct", f"{field.distinct:,}"))
    facts(lines)
    parts = (
        ("values", field.values),
        (f"lengths in {field.length_unit}", field.lengths),
        ("stored bytes", field.sizes),
        ("heights in pixels", field.heights),
        ("widths in pixels", field.widths),
    )
    for name, distribution in parts:
        if distribution is not None:
            echo()
            _print_distribution(name, distribution)
    if field.top and field.values is None:
        echo()
        _print_counts(field)


def _print_distribution(name: str, distribution: Distribution) -> None:
    line = f"{name}: {number(distribution.minimum)} to {number(distribution.maximum)}"
    line += f", mean {number(distribution.mean)}"
    if distribution.std is not None:
        line += f", std {number(distribution.std)}"
    echo(line)
    labels = [number(edge) for edge in distribution.edges[:-1]]
    _print_bars(labels, distribution.counts)


def _print_counts(field: FieldStats) -> None:
    echo("most frequent:")
    labels = [shown_value(value) for value, _ in field.top]
    _print_bars(labels, [count for _, count in field.top])


def _print_bars(labels: list[Any], counts: Any) -> None:
    most = max(counts)
    width = max(map(len, labels))
    widest = len(f"{most:,}")
    for label, count in zip(labels, counts):
        line = f"  {label:>{width}}  {count:>{widest},}  {_bar(count, most)}"
        echo(line.rstrip())


def _bar(count: int, most: int) -> str:
    eighths = round(count / most * _BAR * 8)
    if count:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()
