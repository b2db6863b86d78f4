"""`script`: what runs as `dsrecords`. Whatever happens ends in one line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from dsrecords._cli import exit_codes
from dsrecords._cli.printable import one_line

_NEEDED = "the command needs click and rich: pip install 'dsrecords[cli]'"
_DEBUG = "--debug"
_NAME = "dsrecords"
_COMPLETE = "_DSRECORDS_COMPLETE"  # set by the shell, see docs/command.md


def script() -> int:
    """Run the command as the whole process, which it may set up."""
    # Bars of tqdm, which reads this when it is imported, appear only behind the first second.
    os.environ.setdefault("TQDM_DELAY", "1")
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those behind the command's name; by default the process's.

    Returns:
        The exit code: see `exit_codes`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _DEBUG in given
    if debug:
        given.remove(_DEBUG)
    _prepare_streams()
    try:
        import click
        import rich  # noqa: F401 - whether it is there
    except ImportError:
        _say(f"error: {_NEEDED}")
        return exit_codes.FILE
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show_warning
        try:
            return _run(given)
        except (KeyboardInterrupt, click.Abort):
            if debug:
                raise
            _say("interrupted")
            return exit_codes.INTERRUPTED
        except BrokenPipeError:
            _forget_output()
            return exit_codes.CLOSED_PIPE
        except Exception as error:
            if debug:
                raise
            return _explain(error)


def _run(arguments: list[str]) -> int:
    import click
    from click.shell_completion import shell_complete

    from dsrecords._cli.group import commands

    group = commands()
    asked = os.environ.get(_COMPLETE)
    if asked:
        return shell_complete(group, {}, _NAME, _COMPLETE, asked)
    # Not `group.main`, which would end the process itself where a pipe is closed.
    try:
        with group.make_context(_NAME, arguments or ["--help"]) as context:
            code: int | None = group.invoke(context)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    sys.stdout.flush()  # so that a closed pipe is noticed here
    return code or exit_codes.FINE


def _explain(error: Exception) -> int:
    from dsrecords._cli.errors import code_of, in_words

    _say(f"error: {in_words(error)}")
    return code_of(error)


def _say(line: str) -> None:
    sys.stderr.write(one_line(line) + "\n")
    sys.stderr.flush()


def _show_warning(message: Any, *details: Any, **others: Any) -> None:
    """Show a warning as one line, without the line of our code that it comes from."""
    _say(f"warning: {message}")


def _prepare_streams() -> None:
    """Let what a terminal's encoding does not have become question marks, and not an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _forget_output() -> None:
    """Send what is still to be written nowhere: Python would complain of it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # not a file: then nothing is written when Python ends
        return
    finally:
        os.close(nowhere)
