"""`dsrecords repair`: says what is wrong, saves what can be saved, mends what can be mended."""

from __future__ import annotations

import click

from dsrecords._cli import exit_codes
from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import CARE
from dsrecords._cli.options import file_argument, json_option
from dsrecords._cli.output import echo, write_json
from dsrecords._cli.printable import one_line

SECTION = CARE
_MOST_SHOWN = 20


@click.command(cls=Command, short_help="save what can be saved")
@file_argument
@click.option(
    "-o",
    "--output",
    metavar="NEW.rec",
    type=click.Path(),
    help="Copy the records that verify to a new dataset.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Mend the file itself, if no record is lost by that.",
)
@json_option
def command(
    path: str,
    output: str | None,
    in_place: bool,
    as_json: bool,
) -> int:
    """Say what is wrong with FILE, and what can be saved.

    Nothing is written without -o or --in-place.

    Exit code 0 if nothing is wrong, or all of it was mended or saved; 1 if records are lost, or
    something is wrong and nothing was written.
    """
    import dsrecords

    with Busy(f"repairing {path}"):
        found = dsrecords.repair(path, output, in_place=in_place)
    if as_json:
        write_json(
            {
                "problems": [str(problem) for problem in found.problems],
                "records": found.records,
                "lost": found.lost,
                "output": found.output,
                "mended": in_place and bool(found.problems),
            }
        )
    else:
        _print(path, found, in_place)
    was_written = found.output is not None or in_place
    if found.lost or (found.problems and not was_written):
        return exit_codes.PROBLEMS
    return exit_codes.FINE


def _print(path: str, found: object, in_place: bool) -> None:
    from dsrecords import Repair

    assert isinstance(found, Repair)
    if not found.problems:
        echo(f"{path}: nothing is wrong")
    for problem in found.problems[:_MOST_SHOWN]:
        click.echo(one_line(f"{type(problem).__name__}: {problem}"))
    rest = len(found.problems) - _MOST_SHOWN
    if rest > 0:
        echo(f"and {rest:,} more")
    if found.problems:
        echo(f"{found.records:,} records can be saved, {len(found.lost):,} are lost")
    if found.output is not None:
        echo(f"saved to {found.output}")
    elif found.problems and in_place:
        echo("mended in place")
    elif found.problems:
        echo("nothing was written: -o NEW.rec saves them, --in-place mends the file")
