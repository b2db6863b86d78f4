"""A command whose help has examples, and every line of which fits a screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

_NEGATIVE = re.compile(r"-\d[-\d:,]*")


class Command(click.Command):
    """A command with examples.

    Args:
        examples: lines that a person can type.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read arguments, of which `-1` and `-5:` are no options."""
        shielded = []
        for text in args:
            if _NEGATIVE.fullmatch(text):
                text = f" {text}"
            shielded.append(text)
        return super().parse_args(ctx, shielded)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, then the examples as they are."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            formatter.write_paragraph()
            for example in self.examples:
                formatter.write(f"    {example}\n")
