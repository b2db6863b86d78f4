"""`dsrecords sample`: samples by chance."""

from __future__ import annotations

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import fields_option, files_argument, json_option, view_option
from dsrecords._cli.sample_options import count_option, pictures_option

SECTION = LOOK


@click.command(cls=Command, short_help="samples by chance")
@files_argument
@count_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    help="The same seed shows the same samples.",
)
@fields_option
@view_option
@pictures_option
@json_option
def command(
    paths: tuple[str, ...],
    count: int,
    seed: int | None,
    fields: tuple[str, ...],
    view: str | None,
    pictures: bool | None,
    as_json: bool,
) -> int:
    """Print samples that are picked by chance, each at most once.

    They are shown as `dsrecords head` shows the first ones.
    """
    import random

    import dsrecords
    from dsrecords._cli.sample_options import shown_of
    from dsrecords._cli.samples import show

    shown = shown_of(paths, view, fields, pictures, as_json)
    total = len(shown.dataset)
    if seed is None:
        seed = random.SystemRandom().randrange(2**64)
    order = dsrecords.Permutation(total, seed)
    indices = [order[k] for k in range(min(count, total))]
    return show(shown, indices, as_json)
