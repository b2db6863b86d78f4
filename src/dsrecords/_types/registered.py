"""Types that a program registers, and their registry. Knows nothing of files or records."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dsrecords._types.base import Type, wrong
from dsrecords._types.binary import Bytes
from dsrecords._warning import warn_user
from dsrecords.errors import SchemaError

Dump = Callable[[Any], Any]  # from a value to bytes
Load = Callable[[bytes], Any]  # and back

# By the title of the type. `register_type` fills it.
registry: dict[str, tuple[Dump, Load]] = {}

_TITLE = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


class Registered(Type):
    """A type that a program has registered; bytes where its functions are not registered.

    Attributes:
        title: the name that it is registered under; a schema has it as `ext(title)`.
    """

    present = Type.present | {float}

    # What a function of the user's raises.
    undecodable = (*Type.undecodable, *Type.unreadable, MemoryError)

    def __init__(self, title: str) -> None:
        if not _TITLE.fullmatch(title):
            message = f"{title!r} cannot be the name of a type: letters, digits, _ and dots"
            raise SchemaError(message)
        self.title = title
        self.name = f"ext({title})"
        self._has_warned = False

    def dump(self, value: Any) -> bytes:
        if self.title not in registry:
            message = self._not_registered()
            raise SchemaError(message)
        dump, _ = registry[self.title]
        data = dump(value)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise wrong(Bytes(), data)
        return bytes(data)

    def load(self, data: memoryview, copy: bool) -> Any:
        if self.title in registry:
            _, load = registry[self.title]
            return load(bytes(data))
        if not self._has_warned:
            self._has_warned = True
            message = self._not_registered() + "; until then its values are bytes"
            warn_user(message)
        if copy:
            return bytes(data)
        return data

    def _not_registered(self) -> str:
        call = f"dsrecords.register_type({self.title!r}, dump, load)"
        return f"the type {self.title} is not known here: call {call} first"
