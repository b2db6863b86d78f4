"""The command that has all others: each is a module, imported when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import Any

import click

from dsrecords._cli import commands as modules
from dsrecords._cli.help import page
from dsrecords._native import native

_LONGEST_HELP = 40  # characters


class Commands(click.Group):
    """A group whose commands are the modules of `commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        found = pkgutil.iter_modules(modules.__path__)
        names = [module.name for module in found]
        return sorted(names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = _module(cmd_name).command
        return command

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments begin with. Raises UsageError, with a hint."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            hint = _hint(name, known)
            raise click.UsageError(f"no command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the page of `dsrecords --help`."""
        found: dict[str, dict[str, str]] = {}
        for name in self.list_commands(ctx):
            module = _module(name)
            section: str = module.SECTION
            command: click.Command = module.command
            entries = found.setdefault(section, {})
            entries[name] = command.get_short_help_str(_LONGEST_HELP)
        text = page(found)
        formatter.write(text)


def _module(name: str) -> Any:
    return importlib.import_module(f"{modules.__name__}.{name}")


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]}?"
    names = ", ".join(known)
    return f"there are {names}"


def commands() -> Commands:
    """Return the group of all commands."""
    group = Commands("dsrecords", no_args_is_help=False)
    at_work = "compiled" if native else "pure Python"
    version = click.version_option(
        package_name="dsrecords",
        message=f"dsrecords %(version)s ({at_work})",
    )
    return version(group)
