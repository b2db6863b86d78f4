"""`dsrecords sample`: samples by chance."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.sample_options import shows_samples

SECTION = LOOK


@click.command(cls=Command, short_help="samples by chance")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    help="The same seed shows the same samples.",
)
@shows_samples
def command(total: int, count: int, seed: int | None) -> Sequence[int]:
    """Print samples that are picked by chance, each at most once.

    They are shown as `dsrecords head` shows the first ones.
    """
    import random

    import dsrecords

    if seed is None:
        seed = random.SystemRandom().randrange(2**64)
    order = dsrecords.Permutation(total, seed)
    return [order[k] for k in range(min(count, total))]
