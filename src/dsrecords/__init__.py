"""DSRecords: machine-learning datasets in two files, read at memory speed.

`make_dataset` writes a dataset and `open` reads one, as an `IndexedRecordDataset`: a list of its
samples. The guide is `docs/index.md`.
"""

from dsrecords import io
from dsrecords._schema.infer import infer_schema
from dsrecords._tools.repair import Repair, repair
from dsrecords._types.registry import register_type
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
    "UnsupportedVersionError",
    "infer_schema",
    "io",
    "make_dataset",
    "open",
    "register_type",
    "repair",
    "upgrade",
]


def __dir__() -> list[str]:
    return __all__
