"""What the commands that show samples have in common: their options, and what they print."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dsrecords._cli.options import fields_option, files_argument, json_option, view_option

if TYPE_CHECKING:
    from dsrecords._cli.samples import Shown

Choose = Callable[..., Sequence[int]]

_count_option = click.option(
    "-n",
    "count",
    metavar="N",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many samples.",
)
_pictures_option = click.option(
    "--pictures/--no-pictures",
    default=None,
    help="Whether images are shown as pictures; by default if the terminal can.",
)


def shows_samples(choose: Choose) -> Callable[..., int]:
    """Make a command of a function that says which samples are shown.

    Args:
        choose: called with how many samples there are, how many are asked for, and the values of
            further options; returns their indices.
    """

    @files_argument
    @_count_option
    @fields_option
    @view_option
    @_pictures_option
    @json_option
    @functools.wraps(choose)
    def command(
        paths: tuple[str, ...],
        count: int,
        fields: tuple[str, ...],
        view: str | None,
        pictures: bool | None,
        as_json: bool,
        **others: Any,
    ) -> int:
        from dsrecords._cli.samples import show

        shown = _shown_of(paths, view, fields, pictures, as_json)
        indices = choose(len(shown.dataset), count, **others)
        return show(shown, indices, as_json)

    return command


def _shown_of(
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
