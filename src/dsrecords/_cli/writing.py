"""Writing a selection: a view, which copies nothing, or a dataset of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dsrecords._cli.busy import Busy
from dsrecords._cli.output import note

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

VIEW_ENDINGS = (".idx", ".view")
DATA_ENDING = ".rec"


def require_output(output: str, fields: Sequence[Any]) -> None:
    """Raise UsageError if a name says neither view nor dataset, or a view would lack fields."""
    if not output.endswith((*VIEW_ENDINGS, DATA_ENDING)):
        raise click.UsageError(f"{output}: a dataset ends in .rec, a view in .idx")
    if fields and output.endswith(VIEW_ENDINGS):
        raise click.UsageError("a view has all fields: write a .rec to leave some out")


def size_of(part: IndexedRecordDataset, total: int) -> int:
    """Return about how many bytes a file of some records will have; `total` is of all of them."""
    if not total:
        return 0
    size = sum(map(os.path.getsize, part.files))
    return size * len(part) // total


def write(
    found: IndexedRecordDataset,
    output: str,
    keys: Sequence[Any],
    overwrite: bool,
    total: int,
) -> None:
    """Write a selection.

    Args:
        found: the records.
        output: path of a view (.idx, .view) or of a new dataset (.rec).
        keys: the fields that a new dataset is to have; all if there are none.
        overwrite: whether a view that is there gives way; a dataset does not.
        total: how many records the files have.
    """
    if output.endswith(VIEW_ENDINGS):
        found.save_view(output, overwrite=overwrite)
    else:
        if keys:
            found = found.select_fields(keys)
        size = 0 if keys else size_of(found, total)
        with Busy(f"writing {output}", f"{output}.partial", size):
            found.compact(output)
    note(f"wrote {output}")
