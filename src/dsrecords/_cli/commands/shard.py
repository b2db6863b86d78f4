"""`dsrecords shard`: one file as several."""

from __future__ import annotations

import os

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import MAKE
from dsrecords._cli.options import files_argument, open_dataset, view_option
from dsrecords._cli.output import echo
from dsrecords._cli.sizes import SIZE
from dsrecords._cli.writing import size_of

SECTION = MAKE


@click.command(
    cls=Command,
    short_help="one file as several",
    examples=("dsrecords shard train.rec --shards 8 -o shards/train.json",),
)
@files_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT.json",
    type=click.Path(),
    help="The manifest; files are named after it, OUT-00000-of-00008.rec.",
)
@click.option("--shards", type=click.IntRange(1, 99_999), help="How many files.")
@click.option(
    "--shard-size",
    type=SIZE,
    metavar="SIZE",
    help="About how large a file is to be, such as 1GB.",
)
@view_option
def command(
    paths: tuple[str, ...],
    output: str,
    shards: int | None,
    shard_size: int | None,
    view: str | None,
) -> None:
    """Write a dataset as several files of equally many records, and a manifest that names them.

    Records are copied as they are stored; each is verified. The manifest is written last.
    """
    import dsrecords

    if (shards is None) == (shard_size is None):
        raise click.UsageError("say either --shards or --shard-size")
    if not output.endswith(".json"):
        raise click.UsageError(f"{output}: the manifest's name ends in .json")
    dataset = open_dataset(paths, view)
    if shards is None:
        assert shard_size is not None
        total = sum(field.bytes or 0 for field in dsrecords.info(dataset).fields)
        shards = max(1, min(-(-total // shard_size), len(dataset), 99_999))
    root = output.removesuffix(".json")
    targets = [f"{root}-{number:05}-of-{shards:05}.rec" for number in range(shards)]
    for target in [output, *targets]:
        if os.path.exists(target):
            raise FileExistsError(f"{target} exists: remove it, or give another name")
    for number, target in enumerate(targets):
        part = dataset.shard(shards, number)
        size = size_of(part, len(dataset))
        with Busy(f"file {number + 1} of {shards}", f"{target}.partial", size):
            part.compact(target)
    dsrecords.merge(targets, output)
    echo(f"{output}: {shards:,} files, {len(dataset):,} records")
