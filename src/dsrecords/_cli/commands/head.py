"""`dsrecords head`: the first samples."""

from __future__ import annotations

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import fields_option, files_argument, json_option, view_option
from dsrecords._cli.sample_options import count_option, pictures_option

SECTION = LOOK


@click.command(cls=Command, short_help="the first samples")
@files_argument
@count_option
@fields_option
@view_option
@pictures_option
@json_option
def command(
    paths: tuple[str, ...],
    count: int,
    fields: tuple[str, ...],
    view: str | None,
    pictures: bool | None,
    as_json: bool,
) -> int:
    """Print the first samples as a table.

    Several files are shown as one dataset. Images are pictures where the terminal has 24-bit
    colours, else they are described. Exit code 1 if a value could not be read.
    """
    from dsrecords._cli.sample_options import shown_of
    from dsrecords._cli.samples import show

    shown = shown_of(paths, view, fields, pictures, as_json)
    indices = range(min(count, len(shown.dataset)))
    return show(shown, indices, as_json)
