"""`dsrecords head`: the first samples."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.sample_options import shows_samples

SECTION = LOOK


@click.command(cls=Command, short_help="the first samples")
@shows_samples
def command(total: int, count: int) -> Sequence[int]:
    """Print the first samples as a table.

    Several files are shown as one dataset. Images are pictures where the terminal has 24-bit
    colours, else they are described. Exit code 1 if a value could not be read.
    """
    return range(min(count, total))
