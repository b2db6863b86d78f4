"""Sizes on a command line: `500MB`, `1GiB`, or a number of bytes."""

from __future__ import annotations

import re
from typing import Any

import click

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?(|B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_UNITS = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}


class _Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "size"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Return a size in bytes. Fails with a UsageError."""
        match = _SIZE.fullmatch(str(value))
        size = 0
        if match is not None:
            size = int(float(match[1]) * _UNITS[match[2]])
        if size < 1:
            self.fail(f"{value!r} is no size such as 500MB or 1GiB", param, ctx)
        return size


SIZE = _Size()
