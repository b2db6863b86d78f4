"""DSRecords: machine-learning datasets in two files, read at memory speed.

`make_dataset` writes a dataset and `open` reads one, as an `IndexedRecordDataset`: a list of its
samples. The guide is `docs/index.md`.
"""

import importlib
import types
import typing

from dsrecords import io
from dsrecords._schema.infer import infer_schema
from dsrecords._tools.repair import Repair, repair
from dsrecords._types.registry import register_type
from dsrecords._types.stored_file import StoredFile
from dsrecords._v04.upgrade import upgrade
from dsrecords._write.create import make_dataset
from dsrecords.dataset import IndexedRecordDataset, open
from dsrecords.errors import (
    CorruptError,
    DecodeError,
    DSRecordsError,
    LockedError,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
    UnsupportedVersionError,
)

if typing.TYPE_CHECKING:
    from dsrecords import vision as vision

__version__ = "1.0.0"
__all__ = [
    "CorruptError",
    "DSRecordsError",
    "DecodeError",
    "IndexedRecordDataset",
    "LockedError",
    "ReadOnlyError",
    "Repair",
    "SchemaError",
    "StaleViewError",
    "StoredFile",
    "UnsupportedVersionError",
    "infer_schema",
    "io",
    "make_dataset",
    "open",
    "register_type",
    "repair",
    "upgrade",
    "vision",
]
_MODULES = ("vision",)  # imported when they are first used


def __getattr__(name: str) -> types.ModuleType:
    if name in _MODULES:
        return importlib.import_module(f"dsrecords.{name}")
    raise AttributeError(f"module 'dsrecords' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
