"""The exit codes of the command, as docs/command.md lists them."""

FINE = 0
PROBLEMS = 1
"""What was asked for was done, and something was found: damage, or a difference."""
USAGE = 2
"""What was asked for makes no sense, or does not fit the file."""
FILE = 3
"""It could not be done: a file is missing, damaged or locked; a package is missing."""
INTERRUPTED = 130
CLOSED_PIPE = 141
"""Whoever read the output has closed it, as `head -1` does."""
