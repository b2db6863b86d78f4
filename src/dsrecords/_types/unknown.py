"""Types that only a later version knows: their payloads are kept as they are, not read or written.

Knows nothing of files or records.
"""

from __future__ import annotations

import sys
from typing import Any

from dsrecords._types.base import Type
from dsrecords._types.names import shorten
from dsrecords.errors import UnsupportedVersionError

CANNOT_BE_WRITTEN = "a later one must write samples of this dataset"
"""What follows from such a type for whoever writes."""

_CANNOT_BE_READ = (
    "a later one may read it; this one reads the other fields, as in ds[i, fields] or "
    "ds.batch(positions, fields)"
)


class Unknown(Type):
    """A type of payloads that this version does not know.

    Attributes:
        others: what the header states of the field besides its name, its type and where it is: only
            who knows the type can say what of that the payloads need.
    """

    unreadable = ()  # the file is not to blame

    def __init__(self, name: str, others: dict[str, Any]) -> None:
        self.name = name
        self.nullable = name.endswith("?")
        self.others = others

    def dump(self, value: Any) -> bytes:
        raise unknown_type(self.name, CANNOT_BE_WRITTEN)

    def load(self, data: memoryview, copy: bool) -> Any:
        raise unknown_type(self.name, _CANNOT_BE_READ)


def unknown_type(
    name: str,
    consequence: str,
    field: Any = None,
) -> UnsupportedVersionError:
    """The error of a type with this name, which says what follows from that.

    Args:
        name: of the type.
        consequence: what cannot be done.
        field: the key of the field, if it is known.
    """
    return UnsupportedVersionError(
        f"the type {shorten(name)} is not known to dsrecords {_version()}: {consequence}",
        field=field,
    )


def _version() -> str:
    """Return which version this is. The package says it, which nothing on this floor imports."""
    package = sys.modules[__name__.partition(".")[0]]
    return str(package.__version__)
