"""Options of the commands that show samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dsrecords._cli.samples import Shown

count_option = click.option(
    "-n",
    "count",
    metavar="N",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many samples.",
)
pictures_option = click.option(
    "--pictures/--no-pictures",
    default=None,
    help="Whether images are shown as pictures; by default if the terminal can.",
)


def shown_of(
    paths: Sequence[str],
    view: str | None,
    fields: Sequence[str],
    pictures: bool | None,
    as_json: bool,
) -> Shown:
    """Open what a command is to show samples of."""
    from dsrecords._cli.samples import can_show_pictures, opened

    if pictures is None:
        pictures = not as_json and can_show_pictures()
    return opened(paths, view, fields, pictures)
