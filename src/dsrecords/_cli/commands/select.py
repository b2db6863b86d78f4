"""`dsrecords select`: the records that fit a condition, or are at some indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import MAKE
from dsrecords._cli.indices import are_indices, selected
from dsrecords._cli.options import (
    field_keys,
    fields_option,
    file_argument,
    json_option,
    on_error,
    open_undecoded,
    overwrite_option,
    skip_option,
    view_option,
)
from dsrecords._cli.output import echo, note, write_json
from dsrecords._cli.writing import require_output, write

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

SECTION = MAKE
_SHOWN = 10


@click.command(
    cls=Command,
    short_help="by a condition or indices",
    examples=(
        "dsrecords select train.rec 'label == 3 and score > 0.5'",
        "dsrecords select train.rec \"caption is not None and 'cat' in caption\" -o cats.rec",
        "dsrecords select train.rec 0:1000,5000 -o some.idx",
    ),
)
@file_argument
@click.argument("which", metavar="WHICH")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=click.Path(),
    help="NEW.rec: copy them. NEW.idx: a view, which copies nothing.",
)
@fields_option
@overwrite_option
@view_option
@skip_option
@json_option
def command(
    path: str,
    which: str,
    output: str | None,
    fields: tuple[str, ...],
    overwrite: bool,
    view: str | None,
    skip_errors: bool,
    as_json: bool,
) -> int:
    """Select the records of which a condition is true, or those at some indices.

    Conditions have the fields, numbers, 'strings', == != < <= > >=, in, not, and, or, is None,
    and len(field). Without -o the first of the records are shown. Indices are as Python's.
    """
    if output is not None:
        require_output(output, fields)  # before anything is read
    dataset = open_undecoded([path], view, on_error=on_error(skip_errors))
    total = len(dataset)
    if are_indices(which):
        found = selected(dataset, which)
    else:
        with Busy(f"selecting from {path}"):
            found = dataset.filter(which)
    keys = field_keys(found, fields)
    if dataset.skipped:
        note(f"warning: {len(dataset.skipped):,} records could not be read and were left out")
    if output is not None:
        write(found, output, keys, overwrite, total)
    if as_json:
        write_json({"records": len(found), "of": total, "path": output})
        return 0
    echo(f"{len(found):,} of {total:,} records")
    if output is None and len(found):
        return _show(found, keys)
    return 0


def _show(found: IndexedRecordDataset, keys: list[Any]) -> int:
    """Print the first samples. They are numbered as in the selection."""
    from dsrecords._cli.samples import of_view, show

    indices = range(min(_SHOWN, len(found)))
    return show(of_view(found, keys), indices, False)
