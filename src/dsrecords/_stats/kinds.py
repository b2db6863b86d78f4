"""What can be said of the values of a field, from the name of its type."""

from __future__ import annotations

import re

NUMBER = "number"
CATEGORY = "category"
TIME = "time"
STRING = "string"
ARRAY = "array"
OTHER = "other"

_NUMBER = re.compile(r"bool|u?int\d+|float\d+|bfloat16")
_TIME = re.compile(r"(datetime|timedelta)64\[[^\]]*\]")
_ARRAY = re.compile(r"(bool|u?int\d+|float\d+|bfloat16)\[.*\]")


def kind_of(type_name: str) -> str:
    """Return what kind of values a type has: one of the names above."""
    plain = type_name.removesuffix("?")
    while plain.startswith("zstd("):
        plain = plain.removeprefix("zstd(").removesuffix(")").removesuffix("?")
    if plain.startswith("category["):
        return CATEGORY
    if _TIME.fullmatch(plain):
        return TIME
    if plain == "str":
        return STRING
    if _NUMBER.fullmatch(plain):
        return NUMBER
    if _ARRAY.fullmatch(plain):
        return ARRAY
    return OTHER
