"""The page of the command's options, docs/command-reference.md, from what `--help` prints.

Usage: command_reference.py            write it
       command_reference.py --check    exit with 1 if it is out of date
"""

import os
import sys
from pathlib import Path

import click

from dsrecords._cli.group import commands

PAGE = Path(__file__).parents[1] / "docs" / "command-reference.md"
WIDTH = 80
HEAD = """\
# Options of the command

What each command prints for `--help`. The page on [the command](command.md) shows them at work.
"""


def section(name: str, command: click.Command) -> str:
    """Return the part of the page on one command."""
    with click.Context(
        command,
        info_name=f"dsrecords {name}",
        terminal_width=WIDTH,
    ) as context:
        text = command.get_help(context)
    return f"\n## {name}\n\n```text\n{text.rstrip()}\n```\n"


def page() -> str:
    """Return the page."""
    group = commands()
    sections = [HEAD]
    with click.Context(group, info_name="dsrecords") as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            sections.append(section(name, command))
    return "".join(sections)


def main() -> int:
    """Write or check the page."""
    found = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text(encoding="utf-8") == found:
            return 0
        print(f"{os.path.relpath(PAGE)} is out of date: run tools/command_reference.py")
        return 1
    PAGE.write_text(found, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
