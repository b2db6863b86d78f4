"""`dsrecords bench`: how fast this file is read here, beside the machine's own limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.command import Command
from dsrecords._cli.encoded import as_bytes, types_of
from dsrecords._cli.help import CARE
from dsrecords._cli.options import files_argument, json_option, open_dataset, open_undecoded
from dsrecords._cli.output import Sheet, note, text, write_json
from dsrecords._stats.text import byte_count

if TYPE_CHECKING:
    from dsrecords._cli.measuring import Speed

SECTION = CARE
_HEADINGS = ("", "samples/s", "one takes", "speed", "machine's limit", "of it")


@click.command(cls=Command, short_help="how fast it is read here")
@files_argument
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 60),
    default=0.5,
    show_default=True,
    help="For each measurement.",
)
@click.option("--cold", is_flag=True, help="Measure reading from the disk as well.")
@json_option
def command(
    paths: tuple[str, ...],
    seconds: float,
    cold: bool,
    as_json: bool,
) -> None:
    """Measure how fast a file is read here: samples, batches and columns, one process, one thread.

    Images, sounds and videos are read as they are stored, and once more decoded. The machine's
    limit is what plain reads of as many bytes take, of the same file; of columns, a copy in memory.
    """
    from dsrecords._cli import measuring

    dataset = open_undecoded(paths)
    if not len(dataset):
        raise click.UsageError("there is no record that could be read")
    with Busy("measuring"):
        found = measuring.measured(dataset, seconds)
        if as_bytes(types_of(dataset.schema)):
            found.append(measuring.loop(open_dataset(paths), seconds, "the same, decoded"))
        files = dataset.files
        if cold:
            dataset.close()
            del dataset
            speed = measuring.cold(lambda: open_undecoded(paths), files)
            if speed is not None:
                found.append(speed)
            else:
                note("note: the system keeps the files in memory: nothing to measure with --cold")
    if as_json:
        write_json([_as_data(speed) for speed in found])
        return
    made = Sheet(_HEADINGS, right=_HEADINGS[1:])
    for speed in found:
        made.add([text(content) for content in _cells(speed)])
    made.print()


def _as_data(speed: Speed) -> dict[str, Any]:
    return {**speed._asdict(), "share": speed.share()}


def _cells(speed: Speed) -> list[str]:
    limit = ""
    share = ""
    found = speed.share()
    if speed.limit is not None and found is not None:
        limit = f"{byte_count(speed.limit)}/s"
        share = f"{found:.1%}"
    return [
        speed.name,
        f"{speed.records_per_second:,.0f}",
        _duration(1 / speed.records_per_second),
        f"{byte_count(speed.bytes_per_second)}/s",
        limit,
        share,
    ]


def _duration(seconds: float) -> str:
    if seconds < 1e-6:
        return f"{seconds * 1e9:.3g} ns"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms"
