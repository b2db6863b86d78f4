"""`dsrecords info`: what is in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import files_argument, json_option, open_dataset, view_option
from dsrecords._cli.output import Sheet, echo, facts, text, write_json
from dsrecords._cli.printable import shortened
from dsrecords._stats.text import byte_count

if TYPE_CHECKING:
    from dsrecords._dataset.facts import Info

SECTION = LOOK
_LONGEST_TYPE = 48
_LONGEST_METADATA = 200


@click.command(cls=Command, short_help="fields, sizes, health")
@files_argument
@view_option
@click.option(
    "--exact",
    is_flag=True,
    help="Count the bytes of all records, however many there are.",
)
@json_option
def command(
    paths: tuple[str, ...],
    view: str | None,
    exact: bool,
    as_json: bool,
) -> None:
    """Say what is in a file: fields, types, sizes, versions, and what is out of the ordinary.

    Nothing is read but the header and the index, so it takes the same time for any number of
    records; of more than 65,536, the bytes by field are an estimate (≈). Each FILE is one dataset:
    a pattern in quotes, a folder or a manifest stands for many files.
    """
    import dsrecords

    found = []
    for path in paths:
        with open_dataset([path], view) as dataset:
            found.append(dsrecords.info(dataset, exact=exact))
    if as_json:
        data = [info.to_dict() for info in found]
        write_json(data[0] if len(data) == 1 else data)
        return
    for number, info in enumerate(found):
        if number:
            echo()
        _print(info)


def _print(info: Info) -> None:
    facts(_lines(info))
    echo()
    made = Sheet(["field", "type", "bytes", "each"], right=["bytes", "each"])
    for field in info.fields:
        sign = "" if field.is_exact else "≈ "
        size = ""
        each = ""
        if field.bytes is not None:
            size = sign + byte_count(field.bytes)
        if field.bytes is not None and info.records:
            each = sign + byte_count(field.bytes / info.records)
        row = [
            text(str(field.name), "cyan"),
            text(shortened(field.type, _LONGEST_TYPE)),
            text(size),
            text(each),
        ]
        made.add(row)
    made.print()


def _lines(info: Info) -> list[tuple[str, str]]:
    records = f"{info.records:,}"
    if info.is_view:
        records += " (a view)"
    lines = [("path", info.path), ("records", records), ("size", _size(info))]
    if len(info.files) > 1:
        lines.append(("files", f"{len(info.files):,}"))
    lines.append(("format", _format(info)))
    lines.append(("id", info.id))
    if info.metadata:
        metadata = json.dumps(info.metadata, ensure_ascii=False)
        lines.append(("metadata", shortened(metadata, _LONGEST_METADATA)))
    lines.append(("health", _health(info)))
    return lines


def _format(info: Info) -> str:
    if info.version == "0.4":
        return "dsrecords 0.4: `dsrecords upgrade` makes a dataset of it"
    return f"version {info.version}"


def _size(info: Info) -> str:
    size = byte_count(info.data_bytes)
    if info.index_bytes is not None:
        size += f", and {byte_count(info.index_bytes)} of index"
    if info.dead_bytes is None and not info.is_view and info.edits:
        return f"{size}; {info.edits:,} edits (--exact counts what is dead)"
    if info.dead_bytes:
        size += f"; {byte_count(info.dead_bytes)} of it dead: `dsrecords compact` drops them"
    return size


def _health(info: Info) -> str:
    if not info.notes:
        return "nothing is out of the ordinary; `dsrecords check` reads every byte"
    return "; ".join(info.notes)
