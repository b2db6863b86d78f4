"""`dsrecords merge`: several files as one."""

from __future__ import annotations

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import MAKE
from dsrecords._cli.options import files_argument, open_dataset, overwrite_option
from dsrecords._cli.output import echo

SECTION = MAKE


@click.command(
    cls=Command,
    short_help="several files as one",
    examples=(
        "dsrecords merge 'machine-*.rec' -o all.json",
        "dsrecords merge a.rec b.rec -o both.rec",
    ),
)
@files_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    type=click.Path(),
    help="ALL.json: a manifest, which copies nothing. ALL.rec: one new file.",
)
@overwrite_option
def command(
    paths: tuple[str, ...],
    output: str,
    overwrite: bool,
) -> None:
    """Join files into one dataset: a manifest that names them, or one new file of all records.

    Records are copied as they are stored; each is verified.
    """
    import dsrecords

    with Busy(f"writing {output}", f"{output}.partial"):
        made = dsrecords.merge(list(paths), output, overwrite=overwrite)
    dataset = open_dataset([made])
    echo(f"{made}: {len(dataset):,} records")
