"""Samples on the screen: a table, or one below the other where there are too many fields."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dsrecords._cli import exit_codes
from dsrecords._cli.encoded import (
    described,
    is_picture,
    is_pixels,
    types_of,
)
from dsrecords._cli.options import field_keys, open_dataset, open_undecoded
from dsrecords._cli.output import Sheet, console, note, text, write_json
from dsrecords._cli.pictures import LONGEST_SIDE, half_blocks
from dsrecords._cli.values import cell, plain
from dsrecords.errors import DSRecordsError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from dsrecords.dataset import IndexedRecordDataset

_NARROWEST = 10  # characters of a column; with less, samples are shown below each other
_LONGEST = 200  # characters of a value in a pipe or below each other
_LONGEST_IN_TABLE = 60
_ROWS = 1000  # that are printed together


class Shown(NamedTuple):
    """What samples are shown of, and how.

    Attributes:
        dataset: what is shown, nothing decoded that is a file.
        pictures: the same, with images as small arrays; None where pictures are not shown.
        types: names of types, by field.
        keys: the fields that are shown.
    """

    dataset: IndexedRecordDataset
    pictures: IndexedRecordDataset | None
    types: dict[Any, str]
    keys: list[Any]


def opened(
    paths: Sequence[Any],
    view: str | None,
    fields: Sequence[str],
    pictures: bool,
) -> Shown:
    """Open a dataset whose samples are to be shown."""
    dataset = open_undecoded(paths, view)
    types = types_of(dataset.schema)
    keys = field_keys(dataset, fields) or list(dataset.fields)
    shown_pictures = None
    if pictures:
        shown_pictures = _with_pictures(paths, view, types)
    return Shown(dataset, shown_pictures, types, keys)


def of_view(dataset: IndexedRecordDataset, keys: Sequence[Any]) -> Shown:
    """Return how a view is shown of which nothing is decoded that is a file."""
    types = types_of(dataset.schema)
    return Shown(dataset, None, types, list(keys) or list(dataset.fields))


def _with_pictures(
    paths: Sequence[Any],
    view: str | None,
    types: dict[Any, str],
) -> IndexedRecordDataset:
    from dsrecords.vision import Decode

    small = Decode("rgb", max_size=LONGEST_SIDE)
    decode = {key: small for key, name in types.items() if is_picture(name)}
    return open_dataset(paths, view, decode=decode)


def can_show_pictures() -> bool:
    """Return whether the output is a terminal that has 24-bit colours."""
    return sys.stdout.isatty() and console().color_system == "truecolor"


def show(
    shown: Shown,
    indices: Iterable[int],
    as_json: bool,
    below: bool = False,
) -> int:
    """Print samples.

    Args:
        shown: what they are of.
        indices: of the samples.
        as_json: whether as JSON.
        below: whether fields are below each other, also where a table would be wide enough.

    Returns:
        The exit code: whether all of them could be read.
    """
    which = list(indices)
    if as_json:
        return _show_json(shown, which)
    screen = console()
    with_pictures = shown.pictures is not None
    if with_pictures and not screen.is_terminal:
        screen = _colourful()
    is_narrow = screen.is_terminal and screen.width < _NARROWEST * (len(shown.keys) + 1)
    reader = _Reader(shown)
    if below or is_narrow:
        _print_below_each_other(screen, reader, which)
    else:
        _print_table(screen, reader, which, with_pictures)
    for problem in reader.problems:
        note(f"error: {problem}")
    if reader.problems:
        return exit_codes.PROBLEMS
    return exit_codes.FINE


def _colourful() -> Console:
    """Return where pictures are printed that were asked for although it is no terminal."""
    from rich.console import Console

    return Console(
        file=sys.stdout,
        force_terminal=True,
        color_system="truecolor",
        width=120,
        highlight=False,
    )


class _Reader:
    """Reads values for the screen.

    Attributes:
        problems: what could not be read.
    """

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self.keys = shown.keys
        self.problems: list[str] = []

    def text(self, index: int, key: Any, length: int) -> Text:
        """Return a value as text, which has colours if it is a picture."""
        try:
            return self._text(index, key, length)
        except (DSRecordsError, ImportError) as error:
            self.problems.append(str(error))
            return text(type(error).__name__, "bold red")

    def _text(self, index: int, key: Any, length: int) -> Text:
        shown = self._shown
        value = shown.dataset[index, key]
        if value is None:
            return text("None", "dim")
        type_name = shown.types[key]
        if is_picture(type_name):
            if shown.pictures is not None:
                return half_blocks(shown.pictures[index, key])
            return text(described(value, self._size(index, key)))
        if shown.pictures is not None and is_pixels(type_name) and value.size:
            return half_blocks(value)
        return text(cell(value, length))

    def _size(self, index: int, key: Any) -> tuple[int, int] | None:
        try:
            return self._shown.dataset.image_size(index, key)
        except (DSRecordsError, ImportError):  # the bytes are shown: that they are odd is no error
            return None


def _print_table(
    screen: Console,
    reader: _Reader,
    which: Sequence[int],
    with_pictures: bool,
) -> None:
    """Print samples as a table; of many, the widths of columns change from time to time."""
    length = _LONGEST_IN_TABLE
    if not screen.is_terminal:
        length = _LONGEST
    headings = ["#", *map(str, reader.keys)]
    for start in range(0, max(len(which), 1), _ROWS):
        made = Sheet(headings, right=["#"])
        for index in which[start : start + _ROWS]:
            cells = [reader.text(index, key, length) for key in reader.keys]
            made.add([text(f"{index}", "dim"), *cells])
        if with_pictures:
            made.render_on(screen)
        else:
            made.print(with_headings=start == 0)


def _print_below_each_other(
    screen: Console,
    reader: _Reader,
    which: Sequence[int],
) -> None:
    widest = max(len(str(key)) for key in reader.keys)
    width = min(widest, 30)
    for index in which:
        screen.print(text(f"record {index}", "bold"))
        for key in reader.keys:
            name = text(f"  {cell(str(key), 30):<{width}}  ", "bold")
            value = reader.text(index, key, max(20, screen.width - width - 4))
            if "\n" in value.plain:
                screen.print(name)
                screen.print(value)
            else:
                screen.print(name + value, overflow="ellipsis", no_wrap=True)


def _show_json(shown: Shown, which: Sequence[int]) -> int:
    samples = []
    code = exit_codes.FINE
    for index in which:
        sample: dict[str, Any] = {"#": index}
        for key in shown.keys:
            try:
                sample[str(key)] = plain(shown.dataset[index, key], False)
            except (DSRecordsError, ImportError) as error:
                sample[str(key)] = {"error": str(error)}
                code = exit_codes.PROBLEMS
        samples.append(sample)
    write_json(samples)
    return code
