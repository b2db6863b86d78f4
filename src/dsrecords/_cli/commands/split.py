"""`dsrecords split`: parts that together have each record once."""

from __future__ import annotations

import os
from typing import Any

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.help import MAKE
from dsrecords._cli.options import (
    field_keys,
    file_argument,
    json_option,
    open_dataset,
    overwrite_option,
    view_option,
)
from dsrecords._cli.output import echo, write_json
from dsrecords._cli.writing import size_of

SECTION = MAKE


@click.command(
    cls=Command,
    short_help="train and test",
    examples=(
        "dsrecords split data.rec train=0.9 test=0.1",
        "dsrecords split data.rec train=0.8 val=0.1 test=0.1 --stratify label --copy",
    ),
)
@file_argument
@click.argument("parts", metavar="NAME=SIZE...", nargs=-1, required=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Of the shuffle.",
)
@click.option("--in-order", is_flag=True, help="Do not shuffle: the first part has the first.")
@click.option("--stratify", metavar="FIELD", help="Divide each value of it by the same shares.")
@click.option("--group", metavar="FIELD", help="Keep records of one value of it together.")
@click.option("--key", metavar="FIELD", help="Let its value alone decide, by a hash.")
@click.option(
    "--copy",
    is_flag=True,
    help="Copy the records to files, FILE-NAME.rec; by default views, FILE-NAME.idx.",
)
@overwrite_option
@view_option
@json_option
def command(
    path: str,
    parts: tuple[str, ...],
    seed: int,
    in_order: bool,
    stratify: str | None,
    group: str | None,
    key: str | None,
    copy: bool,
    overwrite: bool,
    view: str | None,
    as_json: bool,
) -> None:
    """Split a dataset into parts that together have each record once.

    Sizes are fractions that add up to 1, or counts that add up to all records. A view is opened
    with `--view`, or by index_path= in Python, and copies nothing.
    """
    dataset = open_dataset([path], view)
    sizes = _sizes(parts)
    root, _ = os.path.splitext(path)
    ending = ".rec" if copy else ".idx"
    targets = {name: f"{root}-{name}{ending}" for name in sizes}
    for target in targets.values():
        if os.path.exists(target) and not (overwrite and not copy):
            raise FileExistsError(f"{target} exists: remove it, or move it away")
    found = dataset.split(
        sizes,
        seed=None if in_order else seed,
        stratify=_field(dataset, stratify),
        group=_field(dataset, group),
        key=_field(dataset, key),
    )
    written = []
    for name, part in found.items():
        target = targets[name]
        if copy:
            size = size_of(part, len(dataset))
            with Busy(f"writing {target}", f"{target}.partial", size):
                part.compact(target)
        else:
            part.save_view(target, overwrite=overwrite)
        written.append({"name": name, "path": target, "records": len(part)})
        if not as_json:
            echo(f"{target}: {len(part):,} records")
    if as_json:
        write_json(written)


def _sizes(parts: tuple[str, ...]) -> dict[str, Any]:
    """Return the parts' names and sizes. Raises UsageError."""
    sizes: dict[str, Any] = {}
    for part in parts:
        name, _, size = part.partition("=")
        if not name or not size:
            raise click.UsageError(f"{part!r}: a part is a name and a size, such as train=0.9")
        if name in sizes:
            raise click.UsageError(f"two parts are called {name!r}")
        if os.path.basename(name) != name:
            raise click.UsageError(f"{name!r}: it becomes a part of a file's name")
        sizes[name] = _size(part, size)
    return sizes


def _size(part: str, text: str) -> int | float:
    try:
        if text.isdecimal():
            return int(text)
        return float(text)
    except ValueError:
        raise click.UsageError(f"{part!r}: {text!r} is neither a fraction nor a count") from None


def _field(dataset: Any, name: str | None) -> Any:
    if name is None:
        return None
    (key,) = field_keys(dataset, [name])
    return key
