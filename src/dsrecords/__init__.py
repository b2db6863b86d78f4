"""DSRecords: machine-learning datasets in two files, read at memory speed.

`make_dataset` writes a dataset and `open` reads one, as an `IndexedRecordDataset`: a list of its
samples. The guide is `docs/guide.md`.
"""

import importlib
import typing

from dsrecords import io
from dsrecords._dataset.joining import merge
from dsrecords._native import native
from dsrecords._order.permutation import Permutation
from dsrecords._schema.infer import infer_schema
from dsrecords._tools.repair import Repair, repair
from dsrecords._types.registry import register_type
from dsrecords._types.stored_file import StoredFile
from dsrecords._v04.upgrade import upgrade
from dsrecords._write.create import make_dataset
from dsrecords.dataset import IndexedRecordDataset, concat, info, open
from dsrecords.errors import (
    CorruptError,
    DecodeError,
    DSRecordsError,
    LockedError,
    ReadOnlyError,
    RemoteError,
    SchemaError,
    ShardError,
    StaleViewError,
    UnsupportedVersionError,
)

if typing.TYPE_CHECKING:
    from dsrecords import grain as grain
    from dsrecords import ray as ray
    from dsrecords import torch as torch
    from dsrecords import vision as vision
    from dsrecords._convert.conversion import Conversion
    from dsrecords._convert.convert import convert
    from dsrecords._diff.diff import diff
    from dsrecords._loader.loader import Loader
    from dsrecords._loader.padding import Pad
    from dsrecords._order.lengths import MaxTokens
    from dsrecords._order.mixing import mix
    from dsrecords._order.sampler import Sampler
    from dsrecords._order.weights import Weights
    from dsrecords._order.zipping import zip
    from dsrecords._stats.stats import stats

__version__ = "1.0.0"
__all__ = [
    "Conversion",
    "CorruptError",
    "DSRecordsError",
    "DecodeError",
    "IndexedRecordDataset",
    "Loader",
    "LockedError",
    "MaxTokens",
    "Pad",
    "Permutation",
    "ReadOnlyError",
    "RemoteError",
    "Repair",
    "Sampler",
    "SchemaError",
    "ShardError",
    "StaleViewError",
    "StoredFile",
    "UnsupportedVersionError",
    "Weights",
    "concat",
    "convert",
    "diff",
    "infer_schema",
    "info",
    "io",
    "make_dataset",
    "merge",
    "mix",
    "native",
    "open",
    "register_type",
    "repair",
    "stats",
    "upgrade",
    "vision",
    "zip",
]
# Imported when they are first used: modules, and names by their modules. Those that need a large
# package are not in `__all__`: `from dsrecords import *` would import it, and hide it behind ours.
_MODULES = ("grain", "ray", "torch", "vision")
_NAMES = {
    "Conversion": "dsrecords._convert.conversion",
    "Loader": "dsrecords._loader.loader",
    "MaxTokens": "dsrecords._order.lengths",
    "Pad": "dsrecords._loader.padding",
    "Sampler": "dsrecords._order.sampler",
    "Weights": "dsrecords._order.weights",
    "convert": "dsrecords._convert.convert",
    "diff": "dsrecords._diff.diff",
    "mix": "dsrecords._order.mixing",
    "stats": "dsrecords._stats.stats",
    "zip": "dsrecords._order.zipping",
}


def __getattr__(name: str) -> typing.Any:
    if name in _MODULES:
        return importlib.import_module(f"dsrecords.{name}")
    if name in _NAMES:
        module = importlib.import_module(_NAMES[name])
        found = getattr(module, name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'dsrecords' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
