"""`dsrecords check`: looks at every byte."""

from __future__ import annotations

from typing import Any

import click

from dsrecords._cli import exit_codes
from dsrecords._cli.busy import is_shown
from dsrecords._cli.command import Command
from dsrecords._cli.help import CARE
from dsrecords._cli.options import files_argument, json_option, open_dataset
from dsrecords._cli.output import echo, write_json
from dsrecords._cli.printable import one_line
from dsrecords.errors import CorruptError, DSRecordsError, SchemaError

SECTION = CARE
_MOST_SHOWN = 20


@click.command(cls=Command, short_help="look at every byte")
@files_argument
@click.option(
    "--decode",
    is_flag=True,
    help="Decode each value as well: images, sounds, messages.",
)
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help=f"Print all problems, not only the first {_MOST_SHOWN} of a file.",
)
@json_option
def command(
    paths: tuple[str, ...],
    decode: bool,
    show_all: bool,
    as_json: bool,
) -> int:
    """Read every byte of each FILE, and say what is not as it was written, and where.

    Exit code 0 if nothing is wrong, 1 if anything is. `dsrecords repair` saves what can be saved.
    """
    reports = [_report(path, decode) for path in paths]
    if as_json:
        write_json([_as_data(path, problems) for path, problems in reports])
    else:
        for path, problems in reports:
            _print(path, problems, show_all)
    if any(problems for _, problems in reports):
        return exit_codes.PROBLEMS
    return exit_codes.FINE


def _report(path: str, decode: bool) -> tuple[str, list[DSRecordsError]]:
    """Return what is wrong with a file. That it cannot be opened is a problem, too."""
    try:
        with open_dataset([path]) as dataset:
            return path, dataset.check(decode=decode, progress=is_shown())
    except SchemaError:  # a file of dsrecords 0.4, which cannot be read without being told how
        raise
    except CorruptError as error:
        return path, [error]


def _as_data(path: str, problems: list[DSRecordsError]) -> dict[str, Any]:
    listed = []
    for problem in problems:
        facts = {
            "kind": type(problem).__name__,
            "message": problem.message,
            "file": problem.file,
            "record": problem.record,
            "field": problem.field,
            "offset": problem.offset,
        }
        listed.append(facts)
    return {"path": path, "problems": listed}


def _print(path: str, problems: list[DSRecordsError], show_all: bool) -> None:
    if not problems:
        echo(f"{path}: nothing is wrong")
        return
    word = "problem" if len(problems) == 1 else "problems"
    click.echo(click.style(one_line(f"{path}: {len(problems):,} {word}"), fg="red", bold=True))
    shown = problems if show_all else problems[:_MOST_SHOWN]
    for problem in shown:
        click.echo(one_line(f"  {type(problem).__name__}: {problem}"))
    rest = len(problems) - len(shown)
    if rest:
        echo(f"  and {rest:,} more: --all prints them")
