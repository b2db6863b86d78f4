"""`dsrecords upgrade`: makes a dataset of a file of dsrecords 0.4."""

from __future__ import annotations

import json
from typing import Any

import click

from dsrecords._cli.busy import is_shown
from dsrecords._cli.command import Command
from dsrecords._cli.help import CARE
from dsrecords._cli.options import file_argument
from dsrecords._cli.output import echo

SECTION = CARE


@click.command(
    cls=Command,
    short_help="make a dataset of a 0.4 file",
    examples=(
        'dsrecords upgrade old.rec new.rec --schema \'{"image": "jpeg", "label": "int32"}\'',
    ),
)
@file_argument
@click.argument("new", metavar="NEW.rec", type=click.Path())
@click.option(
    "--schema",
    required=True,
    metavar="JSON",
    help="Names to types, or a list of types; or @FILE with that.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    help="Processes that encode samples.",
)
def command(
    path: str,
    new: str,
    schema: str,
    workers: int,
) -> None:
    """Make a dataset of FILE, which dsrecords 0.4 wrote, and which stays as it is.

    Fields that functions of your own wrote are copied as bytes; `dsrecords.upgrade` takes
    deserializers.
    """
    import dsrecords

    data_path, _ = dsrecords.upgrade(
        path,
        new,
        _schema(schema),
        progress=is_shown(),
        num_workers=workers,
    )
    with dsrecords.open(data_path) as dataset:
        echo(f"{data_path}: {len(dataset):,} records")


def _schema(given: str) -> Any:
    """Return a schema that is given as JSON. Raises UsageError."""
    text = given
    if given.startswith("@"):
        with open(given[1:], encoding="utf-8") as file:
            text = file.read()
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--schema is no JSON: {error}") from None
    if not isinstance(schema, (dict, list)):
        raise click.UsageError("--schema is an object of names to types, or a list of types")
    return schema
