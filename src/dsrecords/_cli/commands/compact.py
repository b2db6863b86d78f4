"""`dsrecords compact`: drops what was replaced and deleted."""

from __future__ import annotations

import os

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import CARE
from dsrecords._cli.options import file_argument, open_dataset, view_option
from dsrecords._cli.output import echo
from dsrecords._stats.text import byte_count

SECTION = CARE


@click.command(cls=Command, short_help="drop what is dead")
@file_argument
@click.option(
    "-o",
    "--output",
    metavar="NEW.rec",
    type=click.Path(),
    help="Write a new file; by default FILE is replaced.",
)
@view_option
def command(
    path: str,
    output: str | None,
    view: str | None,
) -> None:
    """Write a dataset without what was replaced and deleted; with --view the records of a view.

    The file is replaced at the end, or left as it is. Saved views of it have to be made again.
    """
    dataset = open_dataset([path], view)
    before = sum(map(os.path.getsize, dataset.files))
    target = output or path
    with Busy(f"compacting {path}", f"{target}.partial", before):
        data_path, _ = dataset.compact(output)
    after = os.path.getsize(data_path)
    dataset.close()
    echo(f"{data_path}: {byte_count(after)}, from {byte_count(before)}")
