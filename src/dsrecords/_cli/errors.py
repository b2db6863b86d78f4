"""Which exit code an error has, and what is said of it in one line."""

from __future__ import annotations

import click

from dsrecords._cli import exit_codes
from dsrecords.errors import DSRecordsError, SchemaError

_OF_ARGUMENTS = (
    ValueError,
    TypeError,
    LookupError,
)


def code_of(error: Exception) -> int:
    """Return the exit code of an error."""
    if isinstance(error, (click.UsageError, SchemaError)):
        return exit_codes.USAGE
    if isinstance(error, (DSRecordsError, OSError, click.ClickException)):
        return exit_codes.FILE
    if isinstance(error, _OF_ARGUMENTS):
        return exit_codes.USAGE
    return exit_codes.FILE


def in_words(error: Exception) -> str:
    """Return what is said of an error."""
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and not isinstance(error, DSRecordsError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    message = str(error)
    if isinstance(error, (DSRecordsError, ImportError, *_OF_ARGUMENTS)) and message:
        return message
    return f"{type(error).__name__}: {message}: --debug shows where"


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    if error.ctx is None:
        return message
    return f"{message} ({error.ctx.command_path} --help)"


def _of_system(error: OSError) -> str:
    said = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return said
    return f"{error.filename}: {said}"
