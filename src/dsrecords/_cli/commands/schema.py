"""`dsrecords schema`: the fields and their types."""

from __future__ import annotations

import click

from dsrecords._cli.command import Command
from dsrecords._cli.encoded import types_of
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import files_argument, json_option, open_dataset
from dsrecords._cli.output import echo, write_json

SECTION = LOOK


@click.command(cls=Command, short_help="fields and their types")
@files_argument
@json_option
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """Print the schema as Python writes it, to be pasted into a script.

    With --json it is what `dsrecords upgrade --schema` takes.
    """
    schema = open_dataset(paths).schema
    if as_json:
        write_json(schema)
        return
    brackets = "{}" if isinstance(schema, dict) else "[]"
    echo(brackets[0])
    for key, type_name in types_of(schema).items():
        if isinstance(schema, dict):
            echo(f"    {key!r}: {type_name!r},")
        else:
            echo(f"    {type_name!r},")
    echo(brackets[1])
