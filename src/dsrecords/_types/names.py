"""Names of categories and of a struct's fields, as they are written within the name of a type."""

from __future__ import annotations

import json
import re
from typing import Any

from dsrecords.errors import SchemaError

_PLAIN_NAME = re.compile(r"[\w.+-]+")  # written without quotes
_UNQUOTED_NAME = re.compile(r"[\w.+ -]+")  # read without quotes: spaces too
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_SHOWN = 200  # characters of a name in a message


def is_unicode(text: str) -> bool:
    """Return whether a string can be encoded: it has no half of a surrogate pair."""
    return _SURROGATE.search(text) is None


def quote(name: Any) -> str:
    """Return a name as it is if it is plain, else quoted as JSON does.

    Raises SchemaError if it is not a string of Unicode characters.
    """
    if not isinstance(name, str) or not is_unicode(name):
        raise SchemaError(f"a name must be a Unicode string, not {name!r}")
    if _PLAIN_NAME.fullmatch(name):
        return name
    return json.dumps(name, ensure_ascii=False)


def unquote(text: str) -> str:
    """Return the name that `quote` has written. Raises SchemaError if `text` is no such name."""
    if not text.startswith('"'):
        if _UNQUOTED_NAME.fullmatch(text):
            return text
        raise _not_a_name(text)
    try:
        name = json.loads(text)
    except ValueError:
        raise _not_a_name(text) from None
    if not isinstance(name, str) or not name:
        raise _not_a_name(text)
    return name


def _not_a_name(text: str) -> SchemaError:
    return SchemaError(f"{shorten(text)} is not a name; put it in quotes, as JSON does")


def shorten(text: str) -> str:
    """Return a string for a message: in quotes, and cut if it is long."""
    if len(text) < _LONGEST_SHOWN:
        return repr(text)
    return f"{text[:_LONGEST_SHOWN]!r}…"
