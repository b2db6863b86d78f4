"""`dsrecords diff`: how two datasets differ, record by record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsrecords._cli import exit_codes
from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import json_option, open_dataset
from dsrecords._cli.output import echo, write_json

if TYPE_CHECKING:
    import numpy as np

    from dsrecords._diff.diff import Diff

SECTION = LOOK
_MOST_SHOWN = 10


@click.command(cls=Command, short_help="how two datasets differ")
@click.argument("first", metavar="FIRST", type=click.Path())
@click.argument("second", metavar="SECOND", type=click.Path())
@json_option
def command(first: str, second: str, as_json: bool) -> int:
    """Say how two datasets differ: schema, metadata, and record by record.

    Payloads are compared by their sizes and checksums, so only the indexes are read. Exit code 0
    if nothing differs, else 1.
    """
    import dsrecords

    with Busy(f"comparing {first}"):
        found = dsrecords.diff(open_dataset([first]), open_dataset([second]))
    if as_json:
        write_json(found.to_dict())
    elif found:
        _print(found)
    else:
        echo(f"nothing differs: {found.same:,} records")
    if found:
        return exit_codes.PROBLEMS
    return exit_codes.FINE


def _print(found: Diff) -> None:
    if found.schema:
        echo(f"schema: {found.schema}")
    if found.metadata:
        keys = ", ".join(found.metadata)
        echo(f"metadata: other values of {keys}")
    before, after = found.records
    echo(f"{before:,} records, and {after:,}: {found.same:,} are the same")
    if found.moved:
        echo(f"{found.moved:,} of these moved")
    _print_changed(found)
    _print_indices("removed", found.removed)
    _print_indices("added", found.added)


def _print_changed(found: Diff) -> None:
    count = len(found.changed)
    if not count:
        return
    fields = []
    for name, times in found.changed_fields.items():
        fields.append(f"{name} in {times:,}")
    pairs = found.changed[: _MOST_SHOWN + 1]
    shown = []
    for left, right in pairs.tolist():
        place = str(left)
        if left != right:
            place = f"{left} → {right}"
        shown.append(place)
    where = _listed(shown)
    which = ", ".join(fields)
    echo(f"{count:,} changed ({which}): {where}")


def _print_indices(what: str, indices: np.ndarray) -> None:
    count = len(indices)
    if not count:
        return
    first = indices[: _MOST_SHOWN + 1]
    shown = [str(index) for index in first]
    where = _listed(shown)
    echo(f"{count:,} {what}: {where}")


def _listed(items: list[str]) -> str:
    if len(items) > _MOST_SHOWN:
        items = [*items[:_MOST_SHOWN], "…"]
    return ", ".join(items)
