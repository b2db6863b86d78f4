"""DSRecords: machine-learning datasets in two files, read at memory speed.

`make_dataset` writes one, `open` reads one, `IndexedRecordDataset` is the list that both give. `docs/index.md` begins there.
"""

from . import io
from ._infer import infer_schema
from ._repair import Repair, repair
from ._types import register_type
from ._upgrade import upgrade
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
