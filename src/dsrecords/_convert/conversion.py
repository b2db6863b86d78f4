"""`Conversion`: what a conversion has done, or would do."""

from __future__ import annotations

from typing import Any, NamedTuple


class Conversion(NamedTuple):
    """What a conversion has done, or would do.

    Attributes:
        path: of what was made; None if nothing was.
        source_format: the name of the format that was read.
        target_format: the name of the format that was written.
        records: how many were written; where nothing was, how many there are, if that is known.
        skipped: how many were left out, as `on_error` says.
        schema: names of the fields to types.
    """

    path: str | None
    source_format: str
    target_format: str | None
    records: int | None
    skipped: int
    schema: dict[str, Any] | list[Any]
