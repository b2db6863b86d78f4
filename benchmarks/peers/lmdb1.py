"""LMDB with the engine 1.0, whose files have another format (version 3).

The same package has both engines; `lib_version=1` chooses this one for new files. All else is as for LMDB 0.9.
"""

from .lmdb import Adapter as Lmdb


class Adapter(Lmdb):
    """LMDB's newer format."""

    title = "LMDB 1.0"
    engine = 1
