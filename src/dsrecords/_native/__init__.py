"""Whether the compiled twin of the hot paths is at work, and what stands for it where it is not.

`core` is that twin: written in C, see `native/` of the repository, and built where there is a
compiler. It gives the same values as the functions in Python, and leaves what is unusual to them.

The environment variable DSRECORDS_NATIVE decides: 0 leaves it alone, and with 1 it must be there.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

_VARIABLE = "DSRECORDS_NATIVE"
_OLDEST = (3, 11)

core: Any = None
"""The compiled module; None where Python does the work."""


def _load() -> Any:
    wanted = os.environ.get(_VARIABLE, "")
    if wanted not in ("", "0", "1"):
        raise ImportError(f"{_VARIABLE} is 0 or 1, not {wanted!r}")
    if wanted == "0":
        return None
    # A checkout may have what was built for another Python.
    is_free_threaded = "t" in getattr(sys, "abiflags", "")
    if sys.version_info < _OLDEST or is_free_threaded:
        if wanted == "1":
            raise ImportError(f"{_VARIABLE}=1 needs Python 3.11 or newer, with its global lock")
        return None
    try:
        return importlib.import_module("dsrecords._native._core")
    except ImportError as error:
        if wanted == "1":
            raise ImportError(
                f"{_VARIABLE}=1, but the compiled part is not here ({error}): install a wheel that "
                "has it, or a C compiler and then DSRECORDS_BUILD=require pip install dsrecords"
            ) from error
        return None


core = _load()

native: bool = core is not None
"""Whether the compiled twin is at work."""


class _Plain:
    """What stands for a base class in C: attributes are in the object's dict."""


if TYPE_CHECKING:
    from dsrecords._native import _core

    EntriesBase = _core.Entries
    VerifiedBase = _core.Verified
    SnapshotBase = _core.Snapshot
    GateBase = _core.Gate
    WriterBase = _core.Writer
    DatasetBase = _core.Dataset
    ReadingBase = _core.Reading
elif native:
    EntriesBase = core.Entries
    VerifiedBase = core.Verified
    SnapshotBase = core.Snapshot
    GateBase = core.Gate
    WriterBase = core.Writer
    DatasetBase = core.Dataset
    ReadingBase = core.Reading
else:
    EntriesBase = _Plain
    VerifiedBase = _Plain
    SnapshotBase = _Plain
    GateBase = _Plain
    WriterBase = _Plain
    DatasetBase = _Plain
    ReadingBase = _Plain
