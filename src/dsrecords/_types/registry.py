"""Types that a program gives a name: `dsrecords.register_type`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsrecords._types.parse import parse
from dsrecords._types.registered import Registered, registry
from dsrecords.errors import SchemaError


def register_type(name: str, dump: Callable[[Any], bytes], load: Callable[[bytes], Any]) -> None:
    """Make `name` a type in this process: schemas may name it, and `load` reads its values.

    Call it at the top of a module, so that spawned workers call it too. A file stores the type as
    `ext(name)` and the bytes, but no function: readers that have not registered the name get the
    bytes, and a warning.

    Args:
        name: letters, digits, `_` and dots, such as `"mylab.point"`.
        dump: turns a value into bytes.
        load: turns those bytes into the value.

    Raises:
        ValueError: the name cannot be that of a type, or is taken: by a type of the library, or
            by one that was registered with other functions.
    """
    if name in registry:
        registered_dump, registered_load = registry[name]
        same_dump = _definition(registered_dump) == _definition(dump)
        same_load = _definition(registered_load) == _definition(load)
        if not (same_dump and same_load):
            raise ValueError(f"the type {name} is registered with other functions")
    else:
        _validate_new_name(name)
    registry[name] = (dump, load)


def _validate_new_name(name: str) -> None:
    try:
        parse(name)
    except SchemaError:
        Registered(name)  # raises SchemaError, a ValueError, if it cannot be the name of a type
    else:
        raise ValueError(f"{name} is a type already")


def _definition(function: Any) -> Any:
    """Return what stays the same of a function whose definition is run again, as in a notebook."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", function)
    return module, name
