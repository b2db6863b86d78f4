"""`dsrecords tail`: the last samples."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.sample_options import shows_samples

SECTION = LOOK


@click.command(cls=Command, short_help="the last samples")
@shows_samples
def command(total: int, count: int) -> Sequence[int]:
    """Print the last samples as a table, as `dsrecords head` does the first."""
    return range(max(0, total - count), total)
