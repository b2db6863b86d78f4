"""`dsrecords get`: one sample, or one value of it, as it is stored."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, Literal

import click
import numpy as np

from dsrecords._cli.command import Command
from dsrecords._cli.encoded import described, format_of
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import (
    field_keys,
    fields_option,
    file_argument,
    json_option,
    open_undecoded,
    overwrite_option,
    view_option,
)
from dsrecords._cli.output import note, write_json
from dsrecords._cli.printable import printable
from dsrecords._cli.values import plain

SECTION = LOOK


@click.command(
    cls=Command,
    short_help="one sample or value",
    examples=(
        "dsrecords get train.rec 17 --field image -o image.jpg",
        "dsrecords get train.rec 17 --field image | display",
    ),
)
@file_argument
@click.argument("index", type=int)
@fields_option
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="OUT",
    help="Where to write the value: as it is stored, or an array as .npy.",
)
@overwrite_option
@view_option
@json_option
def command(
    path: str,
    index: int,
    fields: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    view: str | None,
    as_json: bool,
) -> int:
    """Print the sample at INDEX, or write one value of it to a file.

    Images, sounds and bytes are written as they are stored, strings in UTF-8, arrays as text or,
    to a name that ends in .npy, as NumPy's file; anything else is JSON. A negative INDEX counts
    from the end.
    """
    from dsrecords._cli.samples import opened, show

    if output is None and not as_json and len(fields) != 1:
        shown = opened([path], view, fields, False)
        position = _position(index, len(shown.dataset))
        return show(shown, [position], False, below=True)
    dataset = open_undecoded([path], view)
    keys = field_keys(dataset, fields) or list(dataset.fields)
    if as_json:
        sample = {str(key): plain(dataset[index, key], True) for key in keys}
        write_json(sample)
        return 0
    if len(keys) != 1:
        raise click.UsageError("-o takes one value: name its field, --field NAME")
    value = dataset[index, keys[0]]
    if output is None:
        _print(value)
    else:
        _write(value, output, overwrite)
    return 0


def _position(index: int, count: int) -> int:
    """Return an index counted from the start. Raises IndexError if it is out of range."""
    if not -count <= index < count:
        raise IndexError(f"no sample {index}: there are {count:,}")
    return index % count


def _print(value: Any) -> None:
    if not isinstance(value, (bytes, memoryview)):
        text = _as_text(value)
        if sys.stdout.isatty():
            lines = map(printable, text.split("\n"))
            text = "\n".join(lines)
        click.echo(text)
        return
    if sys.stdout.isatty():
        what = described(value)
        raise click.UsageError(f"this is no text ({what}): -o FILE writes it, or pipe it")
    sys.stdout.buffer.write(value)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(plain(value, True), default=str)


def _write(value: Any, output: str, overwrite: bool) -> None:
    data = _as_file(value, output)
    mode: Literal["wb", "xb"] = "xb"
    if overwrite:
        mode = "wb"
    with open(output, mode) as file:
        file.write(data)
    name, ending = format_of(data)
    is_another = "." in output and not _ends(output, ending)
    if ending and is_another:
        note(f"note: {output} is {name}, whose usual ending is {ending}")


def _ends(output: str, ending: str) -> bool:
    endings = [ending]
    if ending == ".jpg":
        endings.append(".jpeg")
    if ending == ".tiff":
        endings.append(".tif")
    return output.lower().endswith(tuple(endings))


def _as_file(value: Any, output: str) -> bytes:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)
    if output.endswith(".npy"):
        file = io.BytesIO()
        np.save(file, np.asarray(value), allow_pickle=False)
        return file.getvalue()
    return _as_text(value).encode("utf-8", "surrogatepass")
