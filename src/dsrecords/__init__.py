"""DSRecords: machine-learning datasets in two files, read at memory speed.

`make_dataset` writes one, `open` reads one, `IndexedRecordDataset` is the list that both give. `docs/index.md` begins there.
"""

from . import io
from ._types import register_type
from .dataset import IndexedRecordDataset, open
from .errors import CorruptError, DSRecordsError, LockedError, ReadOnlyError, SchemaError, StaleViewError, UnsupportedVersionError
from .making import make_dataset

__version__ = "1.0.0"
__all__ = [
    "CorruptError",
    "DSRecordsError",
    "IndexedRecordDataset",
    "LockedError",
    "ReadOnlyError",
    "SchemaError",
    "StaleViewError",
    "UnsupportedVersionError",
    "io",
    "make_dataset",
    "open",
    "register_type",
]


def __dir__() -> list[str]:
    return __all__
