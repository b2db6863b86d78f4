"""`dsrecords convert`: a dataset of another format, or one of ours in another format."""

from __future__ import annotations

import json
import logging
from typing import Any

import click

from dsrecords._cli.busy import Busy, is_shown
from dsrecords._cli.command import Command
from dsrecords._cli.help import MAKE
from dsrecords._cli.output import echo, note

SECTION = MAKE


@click.command(
    cls=Command,
    short_help="from and to other formats",
    examples=(
        "dsrecords convert photos/",
        "dsrecords convert photos/ photos.rec",
        "dsrecords convert table.csv table.rec --type zip=str --drop notes",
        "dsrecords convert photos.rec photos.tar",
    ),
)
@click.argument("source", metavar="SRC", type=click.Path())
@click.argument("target", metavar="[DST]", type=click.Path(), required=False)
@click.option(
    "--from", "source_format", metavar="FORMAT", help="What SRC is, if it cannot be told."
)
@click.option("--to", "target_format", metavar="FORMAT", help="What DST is to be.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="FIELD=TYPE",
    help="The type of a field; can be given again.",
)
@click.option("--drop", multiple=True, metavar="FIELD", help="Leave a field out; again.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the format, such as table=photos.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that encode.")
@click.option("--resume", is_flag=True, help="Go on where the same command was interrupted.")
@click.option("--skip-errors", is_flag=True, help="Leave out, and count, what cannot be read.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset or a file that is there.")
def command(
    source: str,
    target: str | None,
    source_format: str | None,
    target_format: str | None,
    types: tuple[str, ...],
    drop: tuple[str, ...],
    options: tuple[str, ...],
    workers: int,
    resume: bool,
    skip_errors: bool,
    overwrite: bool,
) -> None:
    """Make a dataset of SRC, whose format is told by what is in it; or write one in another format.

    Without DST nothing is written: the schema is printed that DST would have.
    """
    import dsrecords

    schema: dict[str, Any] = dict(_pairs(types, "--type"))
    schema.update(dict.fromkeys(drop))
    chosen: dict[str, Any] = dict(_pairs(options, "--option"))
    arguments: dict[str, Any] = {
        "source_format": source_format,
        "target_format": target_format,
        "schema": schema,
    }
    if target is None:
        found = dsrecords.convert(source, **arguments, **chosen)
        _show(found)
        return
    with Busy(f"writing {target}", f"{target}.partial"), _Notes():
        made = dsrecords.convert(
            source,
            target,
            **arguments,
            num_workers=workers,
            progress=is_shown(),
            resume=resume,
            on_error="skip" if skip_errors else "raise",
            overwrite=overwrite,
            **chosen,
        )
    echo(f"{made.path}: {made.records:,} records")


class _Notes(logging.Handler):
    """A context in which what the library logs is shown: the schema, before anything is written."""

    def __enter__(self) -> _Notes:
        logging.getLogger("dsrecords").addHandler(self)
        return self

    def __exit__(self, *exception: object) -> None:
        logging.getLogger("dsrecords").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message."""
        note(record.getMessage())


def _show(plan: Any) -> None:
    """Print what would be written: the format, and each field with its type."""
    count = "" if plan.records is None else f", {plan.records:,} records"
    echo(f"{plan.source_format}{count}")
    schema = plan.schema
    fields = schema.items() if isinstance(schema, dict) else enumerate(schema)
    for key, kind in fields:
        text = kind if isinstance(kind, str) else json.dumps(kind)
        echo(f"    {key}: {text}")


def _pairs(given: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    pairs = []
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {one}: write NAME=VALUE")
        pairs.append((name, value))
    return pairs
